# SPDX-License-Identifier: Apache-2.0
"""Random projections: distances of n points survive in O(log n / ε²) dimensions, whatever they are.

z = R x      R is k × dim,  E[Rᵀ R] = I,  so E|z|² = |x|²

gaussian   R_ij ~ N(0, 1/k)
sparse     R_ij = ±1/√(s k) with chance s/2 each, else 0
hadamard   R = √(D/k) S H E: E flips signs, H is the D × D Hadamard matrix / √D, S picks k rows

k ≥ 4 ln n / (ε²/2 - ε³/3)  ⇒  (1 - ε)|x - y|² ≤ |z_x - z_y|² ≤ (1 + ε)|x - y|²
                               for all pairs of n points, with good probability
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.reduce.linear import LinearReducer
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count, check_jobs

KINDS = ("gaussian", "sparse", "hadamard")

# Mixed into the seed: data made with default_rng(0) must not be the very directions drawn with
# random_state=0, as happens in examples, where the first rows would come out with huge lengths.
_STREAM = 0x6A6C


class RandomProjection(LinearReducer):
    """Project on random directions, drawn without looking at the data.

    For streams and drifting data where nothing can be fitted, and as the baseline that every
    learned reducer must beat: `PCA` keeps far more of real vectors at the same size.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        ``"auto"``: what the bound asks for with the number of fitted rows and `eps`. The bound is
        cautious; with few dimensions it asks for more than there are, which is refused.
    kind : {"gaussian", "sparse", "hadamard"}, default="gaussian"
        ``"hadamard"`` has orthogonal rows where ``dim`` is a power of two and loses least then;
        other dimensions are padded with zeros up to the next power of two.
    density : float or "auto", default="auto"
        Share of entries that are not zero, for ``kind="sparse"``: ``"auto"`` is 1/√dim (Li); 1/3 is
        Achlioptas's. Vectors with few large coordinates need a higher one.
    eps : float, default=0.1
        ε of ``"auto"``, between 0 and 1.
    n_jobs : int or None, default=None
    random_state : int, default=0

    Attributes
    ----------
    components_ : ndarray of shape (n_components_, dim), float32
        R, stored with its zeros.
    n_components_ : int
    density_ : float
        1 unless sparse.
    mean_ : None

    Raises
    ------
    ParameterError
        More components than dimensions, an unknown kind, `density` or `eps` out of range.

    Notes
    -----
    Fit draws n_components × dim numbers and reads no data. Transform is one dense product of the
    core for each kind: at the dimensions of embeddings that beats both a sparse product and a fast
    Hadamard transform followed by a choice of rows.

    Distances between transformed rows keep the lengths of the originals on average. Scores compare
    a query with the decoded row, by the pseudo-inverse of R: the same projection on the row space,
    without the noise of RᵀR, but shorter by k/dim on average. It ranks better (see the docs).

    References
    ----------
    .. [1] Johnson, Lindenstrauss. Extensions of Lipschitz mappings into a Hilbert space. 1984.
    .. [2] Achlioptas. Database-friendly random projections. JCSS, 2003.
       doi:10.1016/S0022-0000(03)00025-4
    .. [3] Li, Hastie, Church. Very sparse random projections. KDD 2006. doi:10.1145/1150402.1150436
    .. [4] Ailon, Chazelle. The fast Johnson-Lindenstrauss transform. SIAM J. Computing, 2009.
       doi:10.1137/060673096
    .. [5] Tropp. Improved analysis of the subsampled randomized Hadamard transform. 2011.
       arXiv:1011.1595

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((100, 256)).astype(np.float32)
    >>> Z = RandomProjection(128, kind="hadamard").fit_transform(X)
    >>> bool(abs((Z**2).sum() / (X**2).sum() - 1) < 0.02)
    True
    """

    n_components_: int
    density_: float

    def __init__(
        self,
        n_components: int | str = "auto",
        kind: str = "gaussian",
        *,
        density: float | str = "auto",
        eps: float = 0.1,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.n_components = n_components
        self.kind = kind
        self.density = density
        self.eps = eps
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        n, dim = X.shape
        check_choice("kind", self.kind, KINDS)
        check_jobs(self.n_jobs)
        k = self._resolved(n, dim)
        seed = check_count("random_state", self.random_state, at_least=0)
        rng = np.random.default_rng([seed, _STREAM])
        self.density_ = _density(self.density, dim) if self.kind == "sparse" else 1.0
        if self.kind == "gaussian":
            drawn = rng.standard_normal((k, dim)) / math.sqrt(k)
        elif self.kind == "sparse":
            drawn = _sparse(k, dim, self.density_, rng)
        else:
            drawn = _hadamard(k, dim, rng)
        self.components_ = np.ascontiguousarray(drawn, np.float32)
        self.mean_ = None
        self.n_components_ = k

    def _resolved(self, n: int, dim: int) -> int:
        if not isinstance(self.n_components, str):
            return self._check_components(self.n_components, dim)
        check_choice("n_components", self.n_components, ("auto",))
        k = johnson_lindenstrauss_dim(n, self.eps)
        if k > dim:
            raise ParameterError(
                f"n_components='auto' asks for {k} dimensions to keep the distances of {n:,} rows "
                f"within {self.eps:g}, but they have {dim} only. Choose a larger eps, or give "
                "n_components as a number."
            )
        return k


def johnson_lindenstrauss_dim(n: int, eps: float) -> int:
    """Return the dimensions that keep all distances of n points within a factor of 1 ± eps.

    Parameters
    ----------
    n : int
        Points.
    eps : float
        Between 0 and 1; of squared distances.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ParameterError
        `eps` is not between 0 and 1.

    Examples
    --------
    >>> johnson_lindenstrauss_dim(1_000_000, 0.1)
    11842
    """
    number: Any = eps
    if not isinstance(number, int | float) or not 0 < number < 1:
        raise ParameterError(f"eps must be a number between 0 and 1; got {eps!r}. 0.1 is usual.")
    return max(1, math.ceil(4 * math.log(n) / (eps**2 / 2 - eps**3 / 3)))


def _density(density: Any, dim: int) -> float:
    if isinstance(density, str):
        check_choice("density", density, ("auto",))
        return 1 / math.sqrt(dim)
    if isinstance(density, bool) or not 0 < density <= 1:
        raise ParameterError(
            f"density must be 'auto' or a share above 0 and at most 1; got {density!r}. 1/3 is "
            "Achlioptas's."
        )
    return float(density)


def _sparse(k: int, dim: int, density: float, rng: np.random.Generator) -> NDArray[np.float64]:
    chance = rng.random((k, dim))
    signs = (chance < density / 2).astype(np.float64) - (chance > 1 - density / 2)
    return signs / math.sqrt(density * k)


def _hadamard(k: int, dim: int, rng: np.random.Generator) -> NDArray[np.float64]:
    size = 1 << (dim - 1).bit_length()
    rows = np.sort(rng.choice(size, k, replace=False))
    signs = rng.integers(0, 2, dim) * 2.0 - 1.0
    # Entry (i, j) of Sylvester's matrix is (-1)^popcount(i & j): no need for the whole matrix.
    parity = rows[:, None] & np.arange(dim)[None, :]
    shift = 1
    while shift < size:
        parity ^= parity >> shift
        shift <<= 1
    return (1.0 - 2.0 * (parity & 1)) * signs / math.sqrt(k)
