# SPDX-License-Identifier: Apache-2.0
"""How many postings may be left out for a recall, measured on queries or on rows of the index.

A row is not a query: it has more terms. So it is cut to its heaviest 24, as long as the queries of
learned sparse models are, and is left out of its own answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.index.sparse.sparse_rows import SparseRows, SparseStore
from vectorloom.io.container import Container

#: Shares that are tried, from fast to thorough.
SKIPS = (0.08, 0.055, 0.04, 0.03, 0.022, 0.016, 0.012, 0.009, 0.0065, 0.0045, 0.003, 0.0015)
#: Neighbours that recall is measured on.
RANKS = (10, 100)

_TRIALS = 256
_QUERY_TERMS = 24
_SPARE = 0.1  # of what may be missed, for the error of the measurement


@dataclass(frozen=True, eq=False)
class Calibration:
    """What searches found.

    Attributes
    ----------
    n_rows : int
        Rows it was measured on.
    recalls : ndarray of shape (len(SKIPS), len(RANKS)), float64
        Never falling from fast to thorough.
    """

    n_rows: int
    recalls: NDArray[np.float64]

    def skip_for(self, recall: float, k: Any) -> float | None:
        """Return the largest share that finds this recall; None: only exact search does."""
        column = 0 if isinstance(k, int) and k <= RANKS[0] else 1
        enough = self.recalls[:, column] >= recall + _SPARE * (1.0 - recall)
        return SKIPS[int(np.argmax(enough))] if enough.any() else None

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays of a file."""
        return {"recalls": self.recalls}

    @classmethod
    def from_file(cls, file: Container, n_rows: int) -> Calibration:
        """Return what a file holds."""
        return cls(n_rows, file.array("recalls", "<f8", (len(SKIPS), len(RANKS))))


def calibrate(
    store: SparseStore,
    postings: _core.Postings,
    rows: _core.SparseRows,
    queries: SparseRows | None,
    n_jobs: int | None,
) -> Calibration:
    """Measure what is found at each of `SKIPS`.

    Parameters
    ----------
    store : SparseStore
    postings, rows
        Of the core.
    queries : SparseRows or None
        None takes rows.
    n_jobs : int or None
    """
    own = np.full(0 if queries is None else len(queries), -1, np.int64)
    if queries is None:
        lengths = np.diff(store.starts[: store.n + 1])
        full = np.flatnonzero(lengths > 0)
        own = np.sort(np.random.default_rng(0).permutation(full)[:_TRIALS])
        queries = heaviest(store.taken(own), _QUERY_TERMS)
    recalls = np.ones((len(SKIPS), len(RANKS)))
    live = store.live
    for column, rank in enumerate(RANKS):
        k = min(rank, store.n_live) + 1
        truth = postings.search(rows, queries.core, k, live, n_jobs=n_jobs)[0]
        for line, skip in enumerate(SKIPS):
            found = postings.search(
                rows, queries.core, k, live, skip=skip, rescored=2 * k + 4, n_jobs=n_jobs
            )[0]
            recalls[line, column] = _recall(found, truth, own)
    return Calibration(store.n, np.maximum.accumulate(recalls, axis=0))


def heaviest(rows: SparseRows, most: int) -> SparseRows:
    """Return rows with their `most` heaviest terms alone."""
    row = np.repeat(np.arange(len(rows)), np.diff(rows.starts))
    order = np.lexsort((rows.terms, -rows.weights, row))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - rows.starts[row]
    kept = rank < most
    starts = np.concatenate([[0], np.cumsum(kept)])[rows.starts].astype(np.int64)
    return SparseRows(starts, rows.terms[kept], rows.weights[kept], rows.n_terms)


def _recall(found: NDArray[np.int64], truth: NDArray[np.int64], own: NDArray[np.int64]) -> float:
    shares = []
    for have, want, self_ in zip(found, truth, own, strict=True):
        wanted = want[(want >= 0) & (want != self_)]
        if len(wanted):
            shares.append(np.isin(wanted, have).mean())
    return float(np.mean(shares)) if shares else 1.0
