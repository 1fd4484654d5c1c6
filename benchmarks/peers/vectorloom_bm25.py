# SPDX-License-Identifier: Apache-2.0
"""vectorloom's BM25: CPU seconds of an index from texts, or CPU microseconds of a query's text."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.passages import passages, sentences
from benchmarks.peers.base import Facts, GaugePeer, load

QUERIES = 1000


class Peer(GaugePeer):
    """``what`` is ``"index"`` or ``"query"``; ``rows`` the passages."""

    package = "vectorloom"

    def __init__(self, *, threads: int, metric: str, what: str, rows: int, k: int = 10) -> None:
        del metric
        self.threads, self.what, self.k = threads, what, k
        self.prepare()
        self.texts = passages(rows)
        self.queries = sentences(self.texts, QUERIES)
        if what == "query":
            self.index()
            self.search()

    def prepare(self) -> None:
        self.library: Any = load("vectorloom")

    def index(self) -> None:
        self.made = self.library.index.BM25(k1=1.5, stop_words="english", n_jobs=self.threads)
        self.made.fit(self.texts)
        self.made.search(self.queries[:1])  # which weighs the terms

    def search(self) -> Any:
        return self.made.search(self.queries, self.k)

    def measure(self) -> float:
        start = time.process_time()
        if self.what == "index":
            self.index()
            return time.process_time() - start
        self.search()
        return (time.process_time() - start) / QUERIES * 1e6

    def facts(self) -> Facts:
        return Facts([self.package])
