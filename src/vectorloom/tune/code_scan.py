# SPDX-License-Identifier: Apache-2.0
"""Look at the codes of all rows, as a quantizer of `vectorloom.compress` made them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.codes import Codes
from vectorloom.compress.compressor import Compressor, unit
from vectorloom.compress.quantize.lvq import LVQ
from vectorloom.compress.quantize.scalar import Scalar
from vectorloom.index.dense.prepared import Prepared, filled, small
from vectorloom.index.filters import QueryMasks, position_masks
from vectorloom.index.hits import Hits, pad_hits
from vectorloom.index.rowids import CountedIds, IntIds, StrIds, no_ids_like
from vectorloom.vectors import as_dense

#: Of scores held at a time.
_SCORE_BYTES = 64 << 20


class CodeScan:
    """Codes of rows, their ids, and what made them.

    Parameters
    ----------
    compressor : Compressor
        Fitted.
    codes : Codes of shape (n, bytes)
    ids : IntIds or StrIds
    metric : {"cosine", "ip", "l2"}
        Under cosine the codes are of rows of length 1.
    is_quick : bool, default=True
        Whether norms of decoded rows are kept under l2, 4 bytes a row, where searches need them.

    Notes
    -----
    One call of the core answers plain searches of codes of levels (`Scalar`, `LVQ`).
    """

    def __init__(
        self,
        compressor: Compressor,
        codes: Codes,
        ids: IntIds | StrIds,
        metric: str,
        is_quick: bool = True,
    ) -> None:
        self.compressor = compressor
        self.codes = codes
        self.ids = ids
        self.metric = metric
        self.is_quick = is_quick
        self._raw = np.asarray(codes)
        self._norms: NDArray[np.float32] | None = None
        if metric == "l2" and is_quick and isinstance(compressor, Scalar | LVQ):
            self._norms = np.asarray(compressor._codec().norms(self._raw, self._n_jobs))
        self._prepared = Prepared()

    def __len__(self) -> int:
        return len(self._raw)

    @property
    def _n_jobs(self) -> int | None:
        jobs: int | None = getattr(self.compressor, "n_jobs", 1)
        return jobs

    @property
    def nbytes_(self) -> int:
        """Bytes held: codes, ids, norms, calibration."""
        from vectorloom.compress.storage import flatten

        calibration = sum(array.nbytes for array in flatten(self.compressor)[1].values())
        norms = 0 if self._norms is None else self._norms.nbytes
        return int(self._raw.nbytes + self.ids.nbytes + norms + calibration)

    def search(self, queries: Any, k: int, where: Any = None) -> Hits:
        """Return the k rows whose codes score best, ties in the order of ids.

        Parameters
        ----------
        queries : array-like of shape (n_queries, dim)
        k : int
        where : mask, ids, or a list of one filter a query, default=None

        Returns
        -------
        Hits
            Scores are those of codes.
        """
        compressor = self.compressor
        if where is None and isinstance(compressor, Scalar | LVQ) and small(queries, k):

            def prepare() -> Any:
                return self._core_search(compressor)

            answer = self._prepared.search(self._raw, self._n_jobs, prepare)(queries, k)
            hits = filled(answer, self.ids, self.metric)
            if hits is not None:
                return hits
        return self._stepwise(queries, k, where)

    def _core_search(self, compressor: Scalar | LVQ) -> Any:
        ids = self.ids
        return _core.CodeSearch(
            compressor._codec(),
            self._raw,
            self.metric,
            self._norms,
            ids.tie_keys(),
            ids.numbers(),
            self._n_jobs,
        )

    def _stepwise(self, queries: Any, k: int, where: Any) -> Hits:
        asked = as_dense(queries, name="queries", dim=self.compressor.n_features_in_)
        if self.metric == "cosine":
            asked = unit(asked)
        n = len(self)
        width = min(k, n)
        masks = position_masks(where, self.ids, None, len(asked))
        keys = self.ids.tie_keys()
        positions = np.full((len(asked), width), -1, np.int64)
        scores = np.full((len(asked), width), -np.inf)
        counts = np.zeros(len(asked), np.int64)
        # One query at a time where each has a filter of its own.
        step = 1 if isinstance(masks, QueryMasks) else max(1, _SCORE_BYTES // (4 * max(n, 1)))
        for start in range(0, len(asked), step):
            part = slice(start, start + step)
            mask = masks[start] if isinstance(masks, QueryMasks) else masks
            positions[part], scores[part], counts[part] = _core.best_scores(
                self._scores(asked[part]), width, mask, keys, self._n_jobs
            )
        full = min(counts.tolist(), default=0) == k
        ids = self.ids.take(positions.ravel() if full else positions[positions >= 0])
        return pad_hits(ids, positions, scores, counts, k, self.metric)

    def _scores(self, asked: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._norms is None:
            metric = "l2" if self.metric == "l2" else "ip"
            return self.compressor.scores(asked, self.codes, metric)
        squares = np.einsum("ij,ij->i", asked, asked, dtype=np.float64).astype(np.float32)
        products = self.compressor.scores(asked, self.codes, "ip")
        far = 2 * products - self._norms - squares[:, None]
        return np.asarray(np.minimum(far, np.float32(0)), np.float32)


def holder_of(ids: NDArray[Any]) -> IntIds | StrIds:
    """Return the holder of checked ids of rows that do not change.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64 or object

    Returns
    -------
    IntIds or StrIds
        Of no bytes where the ids are 0, 1, … n - 1.
    """
    if ids.dtype == np.int64 and np.array_equal(ids, np.arange(len(ids))):
        return CountedIds(len(ids))
    holder = no_ids_like(ids)
    holder.commit(ids, len(ids), holder.stays_ascending(ids, len(ids)))
    return holder
