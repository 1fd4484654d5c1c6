# SPDX-License-Identifier: Apache-2.0
"""Items cut to their first vectors: coarser forms of what one index holds.

    score_b(Q, P) = sum over q in Q of max over the first b vectors p of P of s(q, p)

The rows of the prefixes are gathered at the first search with a budget and kept, so that a search
costs what it costs in an index of these vectors alone; its scores have the same bits.

Xiao et al. "MetaEmbed: scaling multimodal retrieval at test-time with flexible late interaction",
ICLR 2026 (budgets chosen at search time).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vectorloom.index.dense.encoding import encode
from vectorloom.index.multivector.store import ItemStore
from vectorloom.index.multivector.token_vectors import run_offsets


class Prefixes:
    """Prefix stores of one index by budget, made when they are asked for."""

    def __init__(self) -> None:
        self._stores: dict[int, ItemStore] = {}
        self._of: Any = None

    def store(self, whole: ItemStore, budget: int, n_jobs: int | None) -> ItemStore:
        """Return the items of `whole`, at the same positions, with their first `budget` vectors."""
        # Offsets are replaced whenever items come or rows move; items that are only marked as
        # removed keep their positions, and the caller's mask leaves them out.
        if self._of is not whole.offsets:
            self._stores, self._of = {}, whole.offsets
        if len(whole.offsets) > 1 and int(np.diff(whole.offsets).max()) <= budget:
            return whole
        if budget not in self._stores:
            self._stores[budget] = cut(whole, budget, n_jobs)
        return self._stores[budget]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(store.nbytes for store in self._stores.values())


def cut(whole: ItemStore, budget: int, n_jobs: int | None) -> ItemStore:
    """Return a store of the first `budget` vectors of each item, for searching alone."""
    rows = whole.rows
    lengths = np.minimum(np.diff(whole.offsets), budget)
    ends = run_offsets(lengths)
    within = np.arange(ends[-1]) - np.repeat(ends[:-1], lengths)
    at = np.repeat(whole.offsets[:-1], lengths) + within
    store = ItemStore(rows.kind, rows.metric, rows.dim, whole.ids)
    encoded = encode(rows.decoded(at), rows.kind, n_jobs=n_jobs)
    numbers = np.arange(len(at), dtype=np.int64)
    store.rows.extend(encoded, numbers, numbers[:0], "X", n_jobs)
    store.offsets = ends
    return store
