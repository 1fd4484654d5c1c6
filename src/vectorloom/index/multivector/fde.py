# SPDX-License-Identifier: Apache-2.0
"""MUVERA's fixed-dimensional encodings: many vectors an item become one, for inner products.

    <F_q(Q), F_d(P)>  ~  sum over q in Q of max over p in P of <q, p>

R times, k random directions cut space into 2**k cells by the signs of products (SimHash). For each
cell the encoding has a block: of a query the sum of its vectors that fall there, of a document
their mean, or, where it has none there, its vector whose signs differ least from the cell's. A
query vector thus meets in its cell the document vectors that are near to it in angle, or the
nearest of the others. Blocks are projected to few dimensions by random signs, and divided by
sqrt(R), so that the inner product estimates the score itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import Estimator, check_count, check_jobs
from vectorloom.index.memory import parse_bytes, require_memory
from vectorloom.index.multivector.token_vectors import TokenVectors, as_float_tokens
from vectorloom.progress import progress

_BLOCK_VECTORS = 8192  # vectors projected at a time
_MOST_BITS = 16


class FDE(Estimator):
    """Fixed-dimensional encodings of items of many vectors.

    Use it to find candidates for MaxSim with any index of inner products; `MultiVector` does so and
    scores the candidates exactly. Where one mean vector an item finds enough, that is smaller.

    Parameters
    ----------
    dim : int
        Dimensions of a vector.
    n_repetitions : int, default=40
        Independent partitions of space.
    n_bits : int, default=4
        Random directions of a partition: it has 2**n_bits cells. The paper has 20 repetitions of 5
        bits; at the same size 40 of 4 found more here.
    projection_dim : int or None, default=16
        Dimensions of a cell's block; None keeps `dim`, without projection.
    final_dim : int or None, default=None
        Dimensions of the encoding after a last projection, a count sketch: each entry is added,
        with a random sign, to one of so many. None leaves all ``n_repetitions * 2**n_bits *
        projection_dim``.
    fill_empty : bool, default=True
        Whether a document's empty cells take its nearest vector. A document of few vectors leaves
        most cells empty.
    memory_limit : int, str or None, default=None
        Bytes that the encodings of one call may take, such as ``"2GiB"``; None asks the system.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Attributes
    ----------
    output_dim_ : int
        Dimensions of an encoding.

    Raises
    ------
    ParameterError, ShapeError
        Numbers out of range; from the encoders, what `vectorloom.index.MultiVector` refuses.
    CapacityError
        The encodings would not fit into memory; said before any is made.

    Notes
    -----
    Without projections and with unit vectors, the inner product never exceeds the score: a mean of
    inner products is at most the largest. It falls short by at most epsilon a query vector with
    probability 1 - delta for n_bits = O(log(m / delta) / epsilon), m vectors in all [1]_.
    Projections add noise of mean zero. Cost: ``n_repetitions * (n_bits + projection_dim) * dim``
    multiply-adds a vector. The same bits at any `n_jobs`.

    References
    ----------
    .. [1] Jayaram, Dhulipala, Hadian, Lee, Mirrokni. "MUVERA: Multi-Vector Retrieval via Fixed
       Dimensional Encodings", NeurIPS 2024, arXiv:2405.19504.

    Examples
    --------
    >>> import numpy as np
    >>> tokens = np.random.default_rng(0).standard_normal((3, 8, 32))
    >>> fde = FDE(32, n_repetitions=10, n_bits=3)
    >>> fde.encode_documents(tokens).shape
    (3, 1280)
    """

    def __init__(
        self,
        dim: int,
        n_repetitions: int = 40,
        n_bits: int = 4,
        projection_dim: int | None = 16,
        final_dim: int | None = None,
        fill_empty: bool = True,
        memory_limit: int | str | None = None,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.dim = dim
        self.n_repetitions = n_repetitions
        self.n_bits = n_bits
        self.projection_dim = projection_dim
        self.final_dim = final_dim
        self.fill_empty = fill_empty
        self.memory_limit = memory_limit
        self.random_state = random_state
        self.n_jobs = n_jobs

    @property
    def output_dim_(self) -> int:
        """Dimensions of an encoding."""
        full = self._full_dim()
        if self.final_dim is None:
            return full
        return min(full, check_count("final_dim", self.final_dim))

    def encode_documents(self, X: Any) -> NDArray[np.float32]:
        """Return the encodings of documents.

        Parameters
        ----------
        X : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)
            See `vectorloom.index.MultiVector`.

        Returns
        -------
        ndarray of shape (n, output_dim_), float32
        """
        return self._encode(X, "X", is_document=True)

    def encode_queries(self, queries: Any) -> NDArray[np.float32]:
        """Return the encodings of queries.

        Parameters
        ----------
        queries : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)

        Returns
        -------
        ndarray of shape (n, output_dim_), float32
        """
        return self._encode(queries, "queries", is_document=False)

    def _encode(self, X: Any, name: str, *, is_document: bool) -> NDArray[np.float32]:
        tokens = as_float_tokens(X, name=name, dim=check_count("dim", self.dim))
        self.check_room(len(tokens))
        maps = _Maps(self)
        n_jobs = check_jobs(self.n_jobs)
        out = np.empty((len(tokens), self.output_dim_), np.float32)
        with progress("encoding", total=len(tokens), unit="items") as bar:
            for first, last in tokens.blocks(_BLOCK_VECTORS):
                out[first:last] = maps.encode(tokens.part(first, last), is_document, n_jobs)
                bar.advance(last - first)
        return out

    def check_room(self, n: int, bytes_each: int | None = None) -> None:
        """Refuse `n` encodings that do not fit into memory.

        Parameters
        ----------
        n : int
        bytes_each : int or None, default=None
            None counts float32.

        Raises
        ------
        CapacityError
        """
        each = 4 * self.output_dim_ if bytes_each is None else bytes_each
        limit = None if self.memory_limit is None else parse_bytes(self.memory_limit)
        if (
            limit is not None or n * each > 64 << 20
        ):  # asking the system takes longer than few items
            require_memory(
                n * each,
                f"holding {n:,} encodings of {self.output_dim_:,} dimensions",
                "Use fewer n_repetitions or n_bits, a final_dim, or encode a part at a time.",
                limit=limit,
            )

    def _full_dim(self) -> int:
        bits = check_count("n_bits", self.n_bits)
        if bits > _MOST_BITS:
            raise ParameterError(
                f"n_bits must be at most {_MOST_BITS}: there are 2**n_bits blocks; got {bits}."
            )
        return (check_count("n_repetitions", self.n_repetitions) << bits) * self._block_dim()

    def _block_dim(self) -> int:
        dim = check_count("dim", self.dim)
        if self.projection_dim is None:
            return dim
        return min(dim, check_count("projection_dim", self.projection_dim))


class _Maps:
    """The random maps of an encoder, drawn from its seed."""

    def __init__(self, fde: FDE) -> None:
        rng = np.random.default_rng(fde.random_state)
        full, width = fde._full_dim(), fde._block_dim()
        self.repetitions, self.bits, self.fill = fde.n_repetitions, fde.n_bits, fde.fill_empty
        n_planes = self.repetitions * self.bits
        self.planes = rng.standard_normal((n_planes, fde.dim)).astype(np.float32)
        self.signs = None
        if width < fde.dim:
            signs = rng.integers(0, 2, (self.repetitions * width, fde.dim)) * 2 - 1
            self.signs = (signs / np.sqrt(width)).astype(np.float32)
        self.sketch = None
        if fde.output_dim_ < full:
            self.sketch = _Sketch(rng, full, fde.output_dim_)

    def encode(
        self, tokens: TokenVectors, is_document: bool, n_jobs: int | None
    ) -> NDArray[np.float32]:
        values = np.ascontiguousarray(tokens.values)
        if self.signs is None:
            projected = np.tile(values, (1, self.repetitions))
        else:
            projected = _core.matmul(values, self.signs, n_jobs)
        pooled = _core.fde_pool(
            _core.matmul(values, self.planes, n_jobs),
            projected,
            tokens.offsets,
            self.repetitions,
            self.bits,
            is_document,
            bool(self.fill),
            n_jobs,
        )
        pooled *= np.float32(1.0 / np.sqrt(self.repetitions))
        return pooled if self.sketch is None else self.sketch(pooled)


class _Sketch:
    """Count sketch: out[h(j)] += s(j) x[j]; inner products keep their mean.

    Charikar, Chen, Farach-Colton. "Finding frequent items in data streams", ICALP 2002,
    doi:10.1007/3-540-45465-9_59.
    """

    def __init__(self, rng: np.random.Generator, full: int, kept: int) -> None:
        target = rng.integers(0, kept, full)
        self.order = np.argsort(target, kind="stable")
        self.signs = (rng.integers(0, 2, full) * 2 - 1).astype(np.float32)[self.order]
        self.used, self.starts = np.unique(target[self.order], return_index=True)
        self.kept = kept

    def __call__(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        out = np.zeros((len(X), self.kept), np.float32)
        out[:, self.used] = np.add.reduceat(X[:, self.order] * self.signs, self.starts, axis=1)
        return out
