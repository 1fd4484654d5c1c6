# SPDX-License-Identifier: Apache-2.0
"""Look at the codes of all rows, as a quantizer of `vectorloom.compress` made them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.codes import Codes
from vectorloom.compress.compressor import Compressor, unit
from vectorloom.index.filters import Mask, QueryMasks, position_masks
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
        positions = np.full((len(asked), width), -1, np.int64)
        scores = np.full((len(asked), width), -np.inf)
        step = max(1, _SCORE_BYTES // (4 * max(n, 1)))
        for start in range(0, len(asked), step):
            part = slice(start, start + step)
            found = self.compressor.scores(
                asked[part], self.codes, "l2" if self.metric == "l2" else "ip"
            )
            for i, row in enumerate(found, start):
                mask = masks[i] if isinstance(masks, QueryMasks) else masks
                at, values = self._best(row, width, mask)
                positions[i, : len(at)], scores[i, : len(at)] = at, values
        counts = (positions >= 0).sum(axis=1)
        ids = self.ids.take(positions[positions >= 0])
        return pad_hits(ids, positions, scores, counts, k, self.metric)

    def _best(
        self, scores: NDArray[np.float32], width: int, mask: Mask
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the best positions and their scores, ties by id."""
        allowed = None if mask is None else np.flatnonzero(mask)
        if allowed is not None:
            scores = scores[allowed]
        width = min(width, len(scores))
        if width == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        least = np.partition(scores, len(scores) - width)[len(scores) - width]
        at = np.flatnonzero(scores >= least)
        values = scores[at]
        if allowed is not None:
            at = allowed[at]
        keys = self.ids.tie_keys()
        order = np.lexsort((at if keys is None else keys[at], -values))[:width]
        return at[order], values[order]
