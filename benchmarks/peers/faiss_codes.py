# SPDX-License-Identifier: Apache-2.0
"""faiss's codes by index factory: "PQ48x8", "OPQ48,PQ48x8", "RQ48x8", "SQ4", "PCAR320,RaBitQ", …

Settings that are best for faiss: float queries for RaBitQ (qb = 0), tables for the beam of residual
quantizers. It fits on the rows that it is given: its own caps on training rows are lifted.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from benchmarks.peers.base import Answer, CodePeer, Facts, Floats, filled, load


class Peer(CodePeer):
    """``factory`` may have the places of `filled`; ``bits`` overrides the suite's.

    ``distance`` is what codes are compared by; rows are unit, so both rank the same exact answers.
    """

    def __init__(
        self,
        *,
        threads: int,
        metric: str,
        factory: str,
        bits: float = 0.0,
        most_bytes: int = 0,
        distance: str = "ip",
    ) -> None:
        del metric
        self.faiss = load("faiss")
        self.faiss.omp_set_num_threads(threads)
        self.template, self.bits, self.most_bytes = factory, bits, most_bytes
        kinds = {"ip": self.faiss.METRIC_INNER_PRODUCT, "l2": self.faiss.METRIC_L2}
        self.kind = kinds[distance]

    def fit(self, train: Floats, bits: float) -> None:
        dim = train.shape[1]

        def size(factory: str) -> int:
            return int(self.faiss.index_factory(dim, factory, self.kind).sa_code_size())

        if not hasattr(self, "factory"):
            self.factory = filled(self.template, dim, self.bits or bits, size, self.most_bytes)
        self.owner = self.faiss.index_factory(dim, self.factory, self.kind)
        self.index = self.faiss.downcast_index(self.owner)  # a view: the owner must live on
        self._tune(self.index, len(train))
        self.index.train(train)

    def _tune(self, index: Any, n_train: int) -> None:
        if hasattr(index, "chain"):
            for position in range(index.chain.size()):
                step = self.faiss.downcast_VectorTransform(index.chain.at(position))
                if hasattr(step, "max_train_points"):
                    step.max_train_points = max(n_train, step.max_train_points)
            index = self.faiss.downcast_index(index.index)
        if hasattr(index, "pq"):
            index.pq.cp.max_points_per_centroid = max(256, n_train)
        if hasattr(index, "rq"):
            index.rq.use_beam_LUT = 1
            index.rq.cp.max_points_per_centroid = max(256, n_train)
        if hasattr(index, "qb"):
            index.qb = 0

    def encode(self, rows: Floats) -> None:
        self.codes = self.index.sa_encode(rows)
        self.index.reset()

    def decode(self, count: int) -> Floats:
        return np.asarray(self.index.sa_decode(self.codes[:count]), np.float32)

    def search(self, queries: Floats, k: int) -> Answer:
        if self.index.ntotal == 0:
            self._add_codes()
        scores, ids = self.index.search(queries, k)
        return Answer(ids, scores)

    def _add_codes(self) -> None:
        """A chain takes no codes itself; its last index does, and searches behind the chain."""
        last = self.index
        if hasattr(last, "chain"):
            last = self.faiss.downcast_index(last.index)
        last.add_sa_codes(self.codes)
        self.index.ntotal = last.ntotal

    def facts(self) -> Facts:
        detail = {"factory": self.factory}
        with contextlib.suppress(AttributeError):
            detail["build"] = str(self.faiss.get_compile_options()).strip()
        return Facts(["faiss-cpu"], None, int(self.index.sa_code_size()), detail)
