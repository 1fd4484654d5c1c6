# SPDX-License-Identifier: Apache-2.0
"""Candidates by MaxSim over the means of z neighbouring vectors.

    S'(Q, P) = sum over q in Q of max over w of s(q, mean of p_zw, ..., p_zw+z-1)

The vectors of a text come in its order, and neighbours in a text say similar things: their mean
keeps most of what tells items apart, and there are z times fewer vectors to look at. The means are
normalised under cosine, where vectors count with unit length before. S' is estimated by the int8
products of the windows' screen: its error is far below that of the means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.estimator import check_count
from vectorloom.index.multivector.candidates import CandidateStage
from vectorloom.index.multivector.store import ItemStore
from vectorloom.index.multivector.token_vectors import TokenVectors, run_offsets

#: Vectors of a window. Measured on two collections: with 3 a third of the candidates of the nearest
#: single vectors suffice, with 8 three quarters.
SIZE = 3


class WindowStage(CandidateStage):
    """The windows of all items in a multi-vector index of their own.

    Parameters
    ----------
    index : MultiVector
        Without a first stage, of the metric of the items; empty.
    metric : {"cosine", "ip"}
    size : int, default=3
        Vectors of a window.
    """

    name = "windows"

    def __init__(self, index: Any, metric: str, size: int = SIZE) -> None:
        self.index = index
        self.metric = metric
        self.size = check_count("size", size)
        self.places = np.empty(0, np.int64)
        self.n_calibrated = 0

    @property
    def encoding(self) -> str:
        """What names the stage among the parameters of an index."""
        return self.name

    def extend(self, store: ItemStore, tokens: TokenVectors, ids: NDArray[Any]) -> None:
        """Add the windows of new items."""
        means = window_means(self._normal(tokens, "X"), self.size)
        self.index.add((means.values, means.offsets), ids)

    def check_room(self, n: int) -> None:
        """Leave it to the index, which counts its own bytes."""

    def _candidates(self, queries: TokenVectors, n: int, where: Any) -> Any:
        return self.index._estimated(queries, n, where)

    # ---- files ---------------------------------------------------------------------------------

    def to_meta(self) -> dict[str, Any]:
        """Return what a file's header keeps beside the index."""
        return {"windows": self.size, "n_calibrated": self.n_calibrated}

    @classmethod
    def opened(
        cls, meta: Mapping[str, Any], index: Any, places: NDArray[np.int64], metric: str
    ) -> WindowStage:
        """Return the stage of a file."""
        stage = cls(index, metric, meta["windows"])
        stage.places = places
        stage.n_calibrated = check_count("n_calibrated", meta["n_calibrated"], at_least=0)
        return stage

    def copy(self) -> WindowStage:
        """Return a writable copy."""
        twin = WindowStage(self.index.copy(), self.metric, self.size)
        twin.places, twin.n_calibrated = np.array(self.places), self.n_calibrated
        return twin


def window_means(tokens: TokenVectors, size: int) -> TokenVectors:
    """Return the means of every `size` neighbouring vectors of an item; the last may be of fewer.

    Where a mean vanishes its first vector stands for it: a window always has a direction.
    """
    counts = -(-tokens.lengths // size)
    offsets = run_offsets(counts)
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
    starts = np.repeat(tokens.offsets[:-1], counts) + size * within
    ends = np.append(starts[1:], tokens.offsets[-1])
    values = np.asarray(tokens.values, np.float32)
    means = np.add.reduceat(values, starts, axis=0) / (ends - starts)[:, None].astype(np.float32)
    vanished = ~np.any(means, axis=1)
    means[vanished] = values[starts[vanished]]
    return TokenVectors(means, offsets)
