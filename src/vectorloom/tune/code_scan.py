# SPDX-License-Identifier: Apache-2.0
"""Look at the codes of all rows, as a quantizer of `vectorloom.compress` made them."""

from __future__ import annotations

from typing import Any

import numpy as np

from vectorloom import _core
from vectorloom.compress.codes import Codes
from vectorloom.compress.compressor import Compressor, unit
from vectorloom.index.filters import QueryMasks, position_masks
from vectorloom.index.hits import Hits, pad_hits
from vectorloom.index.rowids import IntIds, StrIds
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
    """

    def __init__(
        self, compressor: Compressor, codes: Codes, ids: IntIds | StrIds, metric: str
    ) -> None:
        self.compressor = compressor
        self.codes = codes
        self.ids = ids
        self.metric = metric

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def nbytes_(self) -> int:
        """Bytes held: codes, ids, calibration."""
        from vectorloom.compress.storage import flatten

        calibration = sum(array.nbytes for array in flatten(self.compressor)[1].values())
        return int(np.asarray(self.codes).nbytes + self.ids.nbytes + calibration)

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
        asked = as_dense(queries, name="queries", dim=self.compressor.n_features_in_)
        if self.metric == "cosine":
            asked = unit(asked)
        n = len(self)
        width = min(k, n)
        masks = position_masks(where, self.ids, None, len(asked))
        keys, jobs = self.ids.tie_keys(), getattr(self.compressor, "n_jobs", 1)
        positions = np.full((len(asked), width), -1, np.int64)
        scores = np.full((len(asked), width), -np.inf)
        counts = np.zeros(len(asked), np.int64)
        # One query at a time where each has a filter of its own.
        step = 1 if isinstance(masks, QueryMasks) else max(1, _SCORE_BYTES // (4 * max(n, 1)))
        for start in range(0, len(asked), step):
            part = slice(start, start + step)
            found = self.compressor.scores(
                asked[part], self.codes, "l2" if self.metric == "l2" else "ip"
            )
            mask = masks[start] if isinstance(masks, QueryMasks) else masks
            positions[part], scores[part], counts[part] = _core.best_scores(
                found, width, mask, keys, jobs
            )
        full = min(counts.tolist(), default=0) == k
        ids = self.ids.take(positions.ravel() if full else positions[positions >= 0])
        return pad_hits(ids, positions, scores, counts, k, self.metric)
