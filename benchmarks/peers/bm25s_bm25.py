# SPDX-License-Identifier: Apache-2.0
"""bm25s with numba, what `vectorloom_bm25` measures: tokenizing and indexing, or a query's text."""

from __future__ import annotations

from typing import Any

from benchmarks.peers import vectorloom_bm25
from benchmarks.peers.base import load_extra


class Peer(vectorloom_bm25.Peer):
    """Its own tokenizer and English stop words, as its manual shows; numba is warm."""

    package = "bm25s"

    def prepare(self) -> None:
        load_extra("numba", "numba")
        self.library = load_extra("bm25s", "bm25s")

    def _cut(self, texts: list[str]) -> Any:
        return self.library.tokenize(texts, stopwords="en", show_progress=False)

    def index(self) -> None:
        self.made = self.library.BM25(k1=1.5, b=0.75, method="lucene", backend="numba")
        self.made.index(self._cut(self.texts), show_progress=False)

    def search(self) -> Any:
        return self.made.retrieve(
            self._cut(self.queries),
            k=self.k,
            n_threads=1,
            backend_selection="numba",
            show_progress=False,
        )
