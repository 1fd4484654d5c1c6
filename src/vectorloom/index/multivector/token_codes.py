# SPDX-License-Identifier: Apache-2.0
"""Late interaction over codes: every vector of an item as the few bytes of a compressor.

    score(Q, P) = sum over q in Q of max over p in P of s(q, code(p))

with s the compressor's own score of a float query against codes. A product quantizer (`PQ`, of one
part: k-means of 256 centroids, one byte a vector) or bits (`Sign`, `RaBitQ`) make vectors 8 to 400
times smaller.

Bach. "Hierarchical Patch Compression for ColPali: efficient multi-vector document retrieval with
dynamic pruning and quantization", 2025 (k-means codes and bits; its pruning by salience is
`prune_tokens`).
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.codes import CodedVectors, Codes
from vectorloom.errors import FormatError, ParameterError
from vectorloom.estimator import Estimator, check_choice, check_count
from vectorloom.index.dense.stored import read_ids
from vectorloom.index.filters import Mask, QueryMasks, position_masks
from vectorloom.index.hits import Hits, pad_hits
from vectorloom.index.multivector.token_vectors import TokenVectors, as_float_tokens, unit_rows
from vectorloom.index.nested import packed, part_of, unpacked
from vectorloom.index.rowids import IntIds, StrIds, no_ids_like
from vectorloom.io.container import Container, register_loader, write_container
from vectorloom.vectors import as_ids

KIND = "index.token_codes"

_BLOCK_SCORES = 1 << 22  # scores of query vectors against codes at a time: 16 MiB


class TokenCodes(Estimator):
    """Index of items whose vectors are kept as codes only.

    Use it where the vectors themselves do not fit: 48 bytes instead of 1,536 a vector, say. It
    scores all items at every search; where that is too slow, find candidates with another index and
    rank them here (`TwoStage`).

    Parameters
    ----------
    codec : Compressor
        Not yet fitted, or fitted; `fit` fits it to the vectors where it is not.
    metric : {"cosine", "ip"}, default="cosine"
        Under cosine vectors are coded with unit length.
    hamming : bool, default=False
        Code queries too, and score by the share of bits that agree less those that differ: for
        codecs with a ``hamming``, such as `Sign`. On token vectors it ranked better than scores
        of queries as they are (see the docs).

    Attributes
    ----------
    nbytes_ : int
        Bytes of the codes and offsets.

    Raises
    ------
    ShapeError, ParameterError
        What `MultiVector` refuses.

    Notes
    -----
    Scores are the codec's, in float32, so they are approximate; sums are float64. Equal scores are
    in the order of ids. Cost: the codec's scores of every query vector against every code.

    References
    ----------
    .. [1] Bach. "Hierarchical Patch Compression for ColPali", 2025.

    Examples
    --------
    >>> import numpy as np
    >>> import vectorloom as vl
    >>> tokens = np.random.default_rng(0).standard_normal((50, 8, 16))
    >>> index = vl.index.TokenCodes(vl.compress.Scalar(bits=4)).fit(tokens)
    >>> index.search(tokens[:1], k=1).ids
    array([[0]])
    >>> index.bytes_per_vector_
    8
    """

    _coded: CodedVectors
    _offsets: NDArray[np.int64]
    _ids: IntIds | StrIds

    def __init__(self, codec: Any, metric: str = "cosine", hamming: bool = False) -> None:
        self.codec = codec
        self.metric = metric
        self.hamming = hamming

    def fit(self, X: Any, ids: Any = None) -> TokenCodes:
        """Code items, forgetting what was held before.

        Parameters
        ----------
        X : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)
        ids : array-like of shape (n,), int64 or str, default=None
            None gives 0, 1, …, n - 1.

        Returns
        -------
        self
        """
        check_choice("metric", self.metric, ("cosine", "ip"))
        if not hasattr(self.codec, "inverse_transform"):
            raise ParameterError(f"codec must be a compressor; got {self.codec!r}.")
        if self.hamming and not hasattr(self.codec, "hamming"):
            raise ParameterError(
                f"hamming=True needs a codec that counts differing bits; {self.codec!r} has no "
                "hamming. Take vl.compress.Sign(), or leave it out."
            )
        tokens = self._normal(X, "X", None)
        wanted = as_ids(ids, len(tokens))
        try:
            fingerprint = self.codec.fingerprint_
        except (AttributeError, ValueError):  # not fitted yet
            self.codec.fit(tokens.values)
            fingerprint = self.codec.fingerprint_
        codes = self.codec.transform(tokens.values)
        held = no_ids_like(wanted)
        held.commit(wanted, len(wanted), held.stays_ascending(wanted, len(wanted)))
        self._coded = CodedVectors(self.codec, Codes(np.asarray(codes), fingerprint))
        self._offsets, self._ids = np.array(tokens.offsets), held
        self._dim = tokens.dim
        return self

    def search(self, queries: Any, k: int = 10, where: Any = None) -> Hits:
        """Return the k best items of each query.

        Parameters
        ----------
        queries : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)
        k : int, default=10
        where : mask, ids, or a list of one filter a query, default=None
            As for `vectorloom.index.Exact.search`, of items.

        Returns
        -------
        Hits
            ``metric`` is ``"maxsim"``.
        """
        self._check_fitted("_coded")
        k = check_count("k", k)
        tokens = self._normal(queries, "queries", self._dim)
        masks = position_masks(where, self._ids, None, len(tokens))
        scores = self._scores(tokens)
        width = min(k, len(self))
        positions = np.full((len(tokens), width), -1, np.int64)
        best = np.full((len(tokens), width), -np.inf)
        counts = np.zeros(len(tokens), np.int64)
        keys = self._ids.tie_keys()
        for q in range(len(tokens)):
            mask: Mask = masks[q] if isinstance(masks, QueryMasks) else masks
            allowed = np.arange(len(self)) if mask is None else np.flatnonzero(mask)
            ties = allowed if keys is None else keys[allowed]
            order = allowed[np.lexsort((ties, -scores[q, allowed]))[:width]]
            counts[q] = len(order)
            positions[q, : len(order)], best[q, : len(order)] = order, scores[q, order]
        ids = self._ids.take(positions[positions >= 0])
        return pad_hits(ids, positions, best, counts, k, "maxsim")

    def _scores(self, tokens: TokenVectors) -> NDArray[np.float64]:
        out = np.empty((len(tokens), len(self)))
        runs = TokenVectors(np.empty((int(self._offsets[-1]), 1)), self._offsets)
        for first, last in tokens.blocks(1024):
            part = tokens.part(first, last)
            step = max(1, _BLOCK_SCORES // len(part.values))
            for low, high in runs.blocks(step):
                start, end = self._offsets[low], self._offsets[high]
                codes = self._coded.codes[start:end]
                each = self._each(part.values, codes)
                best = np.maximum.reduceat(each, self._offsets[low:high] - start, axis=1)
                wide = best.astype(np.float64)
                out[first:last, low:high] = np.add.reduceat(wide, part.offsets[:-1], axis=0)
        return out

    def _each(self, values: NDArray[np.float32], codes: Any) -> NDArray[np.float32]:
        codec: Any = self._coded.compressor
        if not self.hamming:
            scores: NDArray[np.float32] = codec.scores(values, codes, "ip")
            return scores
        apart = codec.hamming(codec.transform(values), codes)
        n_bits = getattr(codec, "n_bits", None) or self._dim
        agreeing: NDArray[np.float32] = 1 - apart.astype(np.float32) * np.float32(2 / n_bits)
        return agreeing

    @property
    def bytes_per_vector_(self) -> int:
        """Bytes of one vector's code."""
        self._check_fitted("_coded")
        return int(self._coded.codes.shape[1])

    @property
    def nbytes_(self) -> int:
        """Bytes of codes and offsets."""
        self._check_fitted("_coded")
        return int(self._coded.codes.nbytes + self._offsets.nbytes)

    @property
    def ids_(self) -> NDArray[Any]:
        """Ids in the order of items, shape (n,), int64 or object; a copy."""
        self._check_fitted("_coded")
        return self._ids.take(np.arange(len(self)))

    def __len__(self) -> int:
        return self._ids.n if hasattr(self, "_coded") else 0

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the codes, and what their codec learned, to one file that `vl.open` maps again."""
        self._check_fitted("_coded")
        arrays = {f"items.{name}": array for name, array in self._ids.to_arrays().items()}
        arrays["offsets"] = self._offsets
        ids = {"n": len(self), "ids": self._ids.dtype, "ascending": self._ids.ascending}
        with packed(self._coded, "codes", path) as (entry, parts):
            meta = {
                "params": {"metric": self.metric, "hamming": bool(self.hamming)},
                "dim": self._dim,
                "items": {"meta": ids},
                "codes": entry,
            }
            write_container(path, KIND, meta, arrays | parts)

    @classmethod
    def _from_container(cls, file: Container) -> TokenCodes:
        coded = unpacked(file, file.meta.get("codes"), "codes")
        index = cls(coded.compressor, **file.meta["params"])
        part = part_of(file, file.meta.get("items"), "items")
        n = check_count("n", part.meta["n"], at_least=0)
        offsets = file.array("offsets", "<i8", (n + 1,))
        if offsets[0] != 0 or offsets[-1] != len(coded) or (n and int(np.diff(offsets).min()) < 1):
            raise FormatError(f"{file.path}: the offsets of the items do not fit to the codes.")
        index._coded, index._offsets, index._ids = coded, offsets, read_ids(part, n)
        index._dim = check_count("dim", file.meta["dim"])
        return index

    def _normal(self, X: Any, name: str, dim: int | None) -> TokenVectors:
        tokens = as_float_tokens(X, name=name, dim=dim)
        if self.metric != "cosine":
            return tokens
        return TokenVectors(unit_rows(tokens.values, name=name), tokens.offsets)


register_loader(KIND, TokenCodes._from_container)
