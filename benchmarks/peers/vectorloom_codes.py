# SPDX-License-Identifier: Apache-2.0
"""vectorloom's compressors, by recipe: `vl.compress.from_text("pca:64 | float8")`."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers.base import Answer, CodePeer, Facts, Floats, Merger, filled, load

SIZED_ON = 1000  # rows that are enough to see how long a code gets
QUERIES_AT_ONCE = 100
ROWS_AT_ONCE = 50_000


class Peer(CodePeer):
    """``recipe`` may have the places of `filled`; ``bits`` overrides the suite's.

    ``distance`` is what codes are compared by where that is not the metric.
    """

    def __init__(
        self,
        *,
        threads: int,
        metric: str,
        recipe: str,
        bits: float = 0.0,
        most_bytes: int = 0,
        distance: str | None = None,
    ) -> None:
        self._core = load("vectorloom._core")
        self.room = load("vectorloom.compress")
        self.threads, self.template = threads, recipe
        self.bits, self.most_bytes = bits, most_bytes
        self.metric = distance or metric

    def fit(self, train: Floats, bits: float) -> None:
        def size(recipe: str) -> int:
            return int(self.room.from_text(recipe).fit(train[:SIZED_ON]).bytes_per_vector_)

        if not hasattr(self, "recipe"):
            self.recipe = filled(
                self.template, train.shape[1], self.bits or bits, size, self.most_bytes
            )
        self.compressor = self.room.from_text(self.recipe)
        self._set_jobs(self.compressor)
        self.compressor.fit(train)

    def _set_jobs(self, compressor: Any) -> None:
        for step in getattr(compressor, "steps", [compressor]):
            if hasattr(step, "n_jobs"):
                step.n_jobs = self.threads

    def encode(self, rows: Floats) -> None:
        self.codes = self.compressor.transform(rows)

    def decode(self, count: int) -> Floats:
        return np.asarray(self.compressor.inverse_transform(self.codes[:count]), np.float32)

    def search(self, queries: Floats, k: int) -> Answer:
        found, scores = [], []
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            asked = queries[start : start + QUERIES_AT_ONCE]
            best = Merger(len(asked), k)
            for first in range(0, len(self.codes), ROWS_AT_ONCE):
                part = self.codes[first : first + ROWS_AT_ONCE]
                block = self.compressor.scores(asked, part, metric=self.metric)
                near = np.argpartition(block, max(0, block.shape[1] - k), axis=1)[:, -k:]
                best.add(np.take_along_axis(block, near, 1), near.astype(np.int64) + first)
            ids, values = best.best()
            found.append(ids)
            scores.append(values)
        return Answer(np.concatenate(found), np.concatenate(scores))

    def facts(self) -> Facts:
        size = int(self.compressor.bytes_per_vector_)
        level = str(self._core.simd_level())
        return Facts(["vectorloom"], level, size, {"recipe": self.recipe})
