# SPDX-License-Identifier: Apache-2.0
"""faiss `IndexFlatIP` / `IndexFlatL2`. Cosine is asked as inner product, so rows must be unit."""

from __future__ import annotations

from benchmarks.peers.base import Answer, Facts, Floats, SearchPeer, load


class Peer(SearchPeer):
    """``database_block`` rows go through BLAS at once (0 keeps the library's own choice)."""

    def __init__(self, *, threads: int, metric: str, database_block: int = 0) -> None:
        self.faiss = load("faiss")
        self.faiss.omp_set_num_threads(threads)
        if database_block:
            self.faiss.cvar.distance_compute_blas_database_bs = database_block
        self.kind = self.faiss.IndexFlatL2 if metric == "l2" else self.faiss.IndexFlatIP

    def build(self, base: Floats) -> None:
        self.index = self.kind(base.shape[1])
        self.index.add(base)
        self.row_bytes = base.nbytes

    def search(self, queries: Floats, k: int) -> Answer:
        scores, ids = self.index.search(queries, k)
        return Answer(ids, scores)

    def facts(self) -> Facts:
        return Facts(["faiss-cpu"], None, self.row_bytes, {"build": self.compile_options()})

    def compile_options(self) -> str:
        return str(self.faiss.get_compile_options()).strip()
