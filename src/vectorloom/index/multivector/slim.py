# SPDX-License-Identifier: Apache-2.0
"""Token vectors as sparse vectors over a dictionary, for inverted lists.

With atoms a_1 .. a_V, unit vectors, a token x of unit length weighs on its t nearest atoms

    w_c(x) = <x, a_c> - (the (t + 1)-th largest of the <x, a>)       and 0 on all others,

and an item is one sparse vector: a query's weights are summed over its vectors, of a document the
largest of each atom is taken. Their inner product,

    sum over q, c of w_c(q) max over p of w_c(p)  >=  sum over q of max over p of <w(q), w(p)>,

is never below late interaction between the sparse vectors. It finds candidates in any inverted
index; MaxSim then ranks them (`TwoStage`).

Li, Lin, Ma, Lin. "SLIM: sparsified late interaction for multi-vector retrieval with inverted
indexes", SIGIR 2023, doi:10.1145/3539618.3591977. There the atoms are the words of a vocabulary and
the weights are trained; here atoms are k-means centroids of the documents' own vectors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import Estimator, check_count, check_jobs
from vectorloom.index.multivector.token_vectors import TokenVectors, as_float_tokens, unit_rows
from vectorloom.progress import progress

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_PER_ATOM = 40  # vectors that the dictionary is learned from
_BLOCK_VECTORS = 4096


class SLIM(Estimator):
    """Sparse encodings of items of many vectors, for `Inverted`.

    Use it where candidates are to come from inverted lists, beside words for instance; `FDE` gives
    dense ones.

    Parameters
    ----------
    n_atoms : int, default=2048
        Size of the dictionary: terms of the sparse vectors.
    n_active : int, default=8
        Atoms that a vector weighs on.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Attributes
    ----------
    atoms_ : ndarray of shape (n_atoms, dim), float32
        Of unit length.

    Raises
    ------
    ParameterError, ShapeError
        Zero vectors, fewer vectors than atoms, and what `MultiVector` refuses.

    Notes
    -----
    Vectors are taken with unit length. Cost: k-means of 40 vectors an atom, then n_atoms * dim
    multiply-adds a vector. The same bits at any `n_jobs`.

    References
    ----------
    .. [1] Li, Lin, Ma, Lin. SIGIR 2023, doi:10.1145/3539618.3591977.

    Examples
    --------
    >>> import numpy as np
    >>> import vectorloom as vl
    >>> tokens = np.random.default_rng(0).standard_normal((100, 8, 16))
    >>> slim = vl.index.SLIM(n_atoms=64, n_active=4).fit(tokens)
    >>> index = vl.index.Inverted().fit(slim.encode_documents(tokens))
    >>> index.search(slim.encode_queries(tokens[:3]), k=1).ids.ravel()
    array([0, 1, 2])
    """

    def __init__(
        self,
        n_atoms: int = 2048,
        n_active: int = 8,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.n_atoms = n_atoms
        self.n_active = n_active
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any) -> SLIM:
        """Learn the dictionary.

        Parameters
        ----------
        X : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)
            Documents.

        Returns
        -------
        self
        """
        from vectorloom.select import KMeans

        n_atoms, n_active = check_count("n_atoms", self.n_atoms), self._n_active()
        tokens = as_float_tokens(X)
        if len(tokens.values) < n_atoms or n_atoms <= n_active:
            raise ParameterError(
                f"n_atoms must be above n_active={n_active} and at most the number of vectors, "
                f"{len(tokens.values)}; got {n_atoms}."
            )
        rng = np.random.default_rng(self.random_state)
        most = min(len(tokens.values), n_atoms * _PER_ATOM)
        chosen = np.sort(rng.choice(len(tokens.values), most, replace=False))
        sample = unit_rows(tokens.values[chosen])
        means = KMeans(n_atoms, random_state=self.random_state, n_jobs=self.n_jobs).fit(sample)
        centers = np.asarray(means.cluster_centers_, np.float32)
        lengths = np.linalg.norm(centers, axis=1, keepdims=True)
        atoms = centers / np.where(lengths > 0, lengths, np.float32(1))
        self.atoms_ = np.ascontiguousarray(atoms, np.float32)
        return self

    def encode_documents(self, X: Any) -> csr_array:
        """Return the sparse vectors of documents.

        Parameters
        ----------
        X : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)

        Returns
        -------
        csr_array of shape (n, n_atoms), float32
            Of each atom the largest weight of the item's vectors.
        """
        return self._encode(X, "X", np.maximum)

    def encode_queries(self, queries: Any) -> csr_array:
        """Return the sparse vectors of queries.

        Parameters
        ----------
        queries : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)

        Returns
        -------
        csr_array of shape (n, n_atoms), float32
            Of each atom the sum over the item's vectors.
        """
        return self._encode(queries, "queries", np.add)

    def _n_active(self) -> int:
        return check_count("n_active", self.n_active)

    def _encode(self, X: Any, name: str, pool: np.ufunc) -> csr_array:
        from scipy.sparse import csr_array

        self._check_fitted("atoms_")
        tokens = as_float_tokens(X, name=name, dim=self.atoms_.shape[1])
        n_jobs = check_jobs(self.n_jobs)
        columns, weights, lengths = [], [], []
        with progress("encoding", total=len(tokens), unit="items") as bar:
            for first, last in tokens.blocks(_BLOCK_VECTORS):
                for column, weight in self._items(tokens.part(first, last), name, pool, n_jobs):
                    columns.append(column)
                    weights.append(weight)
                    lengths.append(len(column))
                bar.advance(last - first)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        shape = (len(tokens), len(self.atoms_))
        return csr_array((np.concatenate(weights), np.concatenate(columns), ends), shape=shape)

    def _items(
        self, tokens: TokenVectors, name: str, pool: np.ufunc, n_jobs: int | None
    ) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Return columns and weights of each item."""
        active = min(self._n_active(), len(self.atoms_) - 1)
        products = _core.matmul(unit_rows(tokens.values, name=name), self.atoms_, n_jobs)
        near = np.argpartition(-products, active, axis=1)[:, : active + 1]
        values = np.take_along_axis(products, near, axis=1)
        values = np.maximum(values - values.min(axis=1, keepdims=True), 0)
        out = []
        for i in range(len(tokens)):
            part = slice(int(tokens.offsets[i]), int(tokens.offsets[i + 1]))
            columns, place = np.unique(near[part], return_inverse=True)
            weights = np.zeros(len(columns), np.float32)
            pool.at(weights, place.ravel(), values[part].ravel())
            kept = weights > 0
            out.append((columns[kept], weights[kept]))
        return out
