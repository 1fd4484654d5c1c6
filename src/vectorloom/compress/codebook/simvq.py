# SPDX-License-Identifier: Apache-2.0
"""SimVQ: a codebook that moves as one, because it is a linear map of frozen vectors.

    c_k = b_k W + o        b_k ~ N(0, I / width), frozen        W, o: all that is trained

In a free codebook a step moves only the codewords that were chosen; those never chosen stay where
they are and are never chosen again. Here each chosen codeword pulls W, and W moves all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.codebook.bottleneck import BottleneckVQ, Codebook, FreeCodebook
from vectorloom.estimator import check_choice


class LinearCodebook:
    """Codewords = basis @ map + offset, each part its own; only map and offset are trained.

    Parameters
    ----------
    basis : ndarray of shape (n_parts, n_codewords, width), float32
    """

    def __init__(self, basis: NDArray[np.float32]) -> None:
        n_parts, _, width = basis.shape
        self.basis = basis.astype(np.float32)
        self.params = {
            "map": np.repeat(np.eye(width, dtype=np.float32)[None], n_parts, axis=0),
            "offset": np.zeros((n_parts, 1, width), np.float32),
        }

    def codewords(self) -> NDArray[np.float32]:
        """Return (n_parts, n_codewords, width)."""
        return np.asarray(self.basis @ self.params["map"] + self.params["offset"])

    def gradients(self, by_codeword: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return the gradient of each of `params`, given that of the codewords."""
        return {
            "map": self.basis.transpose(0, 2, 1) @ by_codeword,
            "offset": by_codeword.sum(axis=1, keepdims=True),
        }


class SimVQ(BottleneckVQ):
    """Gradient-trained codebook behind one linear layer, which does not collapse.

    A linear encoder and decoder are trained with the codebook by straight-through. Use it to study
    or to reproduce codebooks of neural models on vectors of your own. To make vectors small, `OPQ`
    and `ResidualQuantizer` reach a smaller error in less time, and `PQ` ranks better in a tenth of
    it (measured in the docs).

    Parameters
    ----------
    n_codewords : int, default=256
        Codewords a part, 2 to 65,536.
    n_parts : int, default=1
        Equal parts of the latent vector with a codebook each; divides `n_latent`.
    n_latent : int or None, default=None
        Dimensions between encoder and decoder; None keeps those of X.
    reparam : {"linear", "none"}, default="linear"
        ``"none"`` trains the codewords themselves: plain vector quantization, to compare with.
    n_epochs : int, default=10
    batch_size : int, default=1024
        Rows.
    learning_rate : float, default=0.01
        Of Adam, for data of unit variance; falls to zero along a cosine.
    commitment : float, default=0.25
        Weight β of the pull of the encoder towards the chosen codewords.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Attributes
    ----------
    codewords_ : ndarray of shape (n_parts, n_codewords, n_latent // n_parts), float32
    encoder_ : ndarray of shape (n_latent, dim), float32
    decoder_ : ndarray of shape (dim, n_latent), float32
    mean_ : ndarray of shape (dim,), float32
    scale_ : float
        Root mean square of the centred training rows; training sees them divided by it.
    losses_ : ndarray of shape (n_epochs,), float64
        Mean squared error per dimension while training, as a share of the data's variance.
    utilization_ : float
        Share of the codewords that are the nearest of some training row, mean over the parts.
    perplexity_ : float
        exp(entropy) of their frequencies, mean over the parts.
    mismatch_ : float
        Distance of the codebook's moments from those of the encoded data, as a share of variance.

    Raises
    ------
    ShapeError
        Fewer rows than codewords.
    ParameterError
        A number out of range, or parts that do not divide the latent dimensions.

    Notes
    -----
    Training costs O(n_epochs * n * (n_codewords * n_latent + n_latent * dim)); encoding
    O(n_codewords * n_latent + n_latent * dim) a row; a row takes
    ceil(n_parts * ceil(log2(n_codewords)) / 8) bytes. An integer `random_state` gives the same bits
    at any `n_jobs`.

    References
    ----------
    .. [1] Zhu, Li, Zhang, Li, Xu, Bing. Addressing representation collapse in vector quantized
           models with one linear layer. ICCV 2025. arXiv:2411.02038

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((500, 8)).astype(np.float32)
    >>> vq = SimVQ(n_codewords=16, n_parts=4, n_epochs=5, batch_size=50).fit(X)
    >>> vq.bytes_per_vector_, vq.utilization_
    (2, 1.0)
    """

    def __init__(
        self,
        n_codewords: int = 256,
        n_parts: int = 1,
        *,
        n_latent: int | None = None,
        reparam: str = "linear",
        n_epochs: int = 10,
        batch_size: int = 1024,
        learning_rate: float = 0.01,
        commitment: float = 0.25,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.n_codewords = n_codewords
        self.n_parts = n_parts
        self.n_latent = n_latent
        self.reparam = reparam
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.commitment = commitment
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _check_parameters(self, n: int, dim: int) -> int:
        check_choice("reparam", self.reparam, ("linear", "none"))
        return super()._check_parameters(n, dim)

    def _codebook(self, latent: NDArray[Any], rng: np.random.Generator) -> Codebook:
        width = latent.shape[1] // self.n_parts
        basis = rng.standard_normal((self.n_parts, self.n_codewords, width)) / np.sqrt(width)
        start = basis.astype(np.float32)
        return LinearCodebook(start) if self.reparam == "linear" else FreeCodebook(start)
