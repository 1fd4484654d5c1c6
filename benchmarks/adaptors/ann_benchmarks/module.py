# SPDX-License-Identifier: Apache-2.0
"""vectorloom for ann-benchmarks: a graph by ``ef`` or ``recall``, inverted lists by ``nprobe``.

Copy this folder to `ann_benchmarks/algorithms/vectorloom`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import vectorloom as vl

from ..base.module import BaseANN  # noqa: TID252  (a path of the tree that this is copied into)

METRICS = {"angular": "cosine", "euclidean": "l2", "ip": "ip"}


class _Vectorloom(BaseANN):
    """One thread a search; a batch takes the threads that the process is allowed."""

    index: Any

    def __init__(self, metric: str, **params: Any) -> None:
        if metric not in METRICS:
            raise NotImplementedError(f"metric {metric!r}; expected one of {', '.join(METRICS)}")
        self.metric = METRICS[metric]
        self.params = params
        self.asked: dict[str, Any] = {}

    def fit(self, X: Any) -> None:
        self.index.fit(np.ascontiguousarray(X, np.float32))

    def set_query_arguments(self, name: str, value: float) -> None:
        """``("ef", 64)``, ``("nprobe", 16)`` or ``("recall", 0.95)``."""
        self.asked = {name: value}

    def query(self, q: Any, n: int) -> Any:
        row = np.asarray(q, np.float32)[None, :]
        return self._ids(self.index.search(row, n, **self.asked))[0]

    def batch_query(self, X: Any, n: int) -> None:
        rows = np.ascontiguousarray(X, np.float32)
        self.index.n_jobs = None
        try:
            self.res = self._ids(self.index.search(rows, n, **self.asked))
        finally:
            self.index.n_jobs = 1

    def get_batch_results(self) -> Any:
        return self.res

    @staticmethod
    def _ids(hits: Any) -> Any:
        return np.asarray(hits.ids)

    def __str__(self) -> str:
        said = {**self.params, **self.asked}
        words = ", ".join(f"{name}={value}" for name, value in said.items())
        return f"{type(self).__name__}({words})"


class VectorloomGraph(_Vectorloom):
    """`vl.index.Graph` of a degree."""

    def __init__(self, metric: str, degree: int = 48) -> None:
        super().__init__(metric, degree=degree)
        self.index = vl.index.Graph(self.metric, degree=degree, n_jobs=1)


class VectorloomIVF(_Vectorloom):
    """`vl.index.IVF`; 0 lists leaves the number to the index."""

    def __init__(self, metric: str, n_lists: int = 0) -> None:
        super().__init__(metric, n_lists=n_lists)
        self.index = vl.index.IVF(self.metric, n_lists=n_lists or None, n_jobs=1)
