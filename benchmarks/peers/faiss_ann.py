# SPDX-License-Identifier: Apache-2.0
"""faiss's approximate indexes by index factory: "HNSW32,SQ8", "IVF{lists},PQ{half}x4fs,RFlat", …

Places are filled for the data: ``{lists}`` is 4 √n, ``{half}`` and ``{quarter}`` parts of the
dimension; ``{pad}`` adds zeros up to a multiple of 4 where it is none, so that these are whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.base import AnnPeer, Facts, Floats, Ids, Setting, efforts, load

PROBES = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)


class Peer(AnnPeer):
    """``rerank``: the multiples of k that the refining index re-checks, one ladder each.

    It is taken to k by `k_factor_rf`; graphs are built with ``ef_construction``.
    """

    def __init__(
        self,
        *,
        threads: int,
        metric: str,
        factory: str,
        ef_construction: int = 200,
        rerank: Sequence[int] = (),
    ) -> None:
        self.faiss = load("faiss")
        self.faiss.omp_set_num_threads(threads)
        is_l2 = metric == "l2"
        self.kind = self.faiss.METRIC_L2 if is_l2 else self.faiss.METRIC_INNER_PRODUCT
        self.template, self.ef_construction, self.rerank = factory, ef_construction, rerank

    def build(self, base: Floats) -> None:
        self.factory = filled_for(self.template, *base.shape)
        self.index = self.faiss.index_factory(base.shape[1], self.factory, self.kind)
        if hasattr(self.index, "hnsw"):
            self.index.hnsw.efConstruction = self.ef_construction
        self.index.train(base)
        self.index.add(base)
        self.space = self.faiss.ParameterSpace()

    def ladders(self, k: int) -> Sequence[Sequence[Setting]]:
        if hasattr(self.index, "hnsw"):
            return [[{"efSearch": width} for width in efforts(k)]]
        if not self.rerank:
            return [[{"nprobe": probes} for probes in PROBES]]
        return [
            [{"nprobe": probes, "k_factor_rf": factor} for probes in PROBES]
            for factor in self.rerank
        ]

    def apply(self, setting: Setting) -> None:
        words = itertools.starmap("{}={}".format, setting.items())
        self.space.set_index_parameters(self.index, ",".join(words))

    def search(self, queries: Floats, k: int) -> Ids:
        return np.asarray(self.index.search(queries, k)[1])

    def save(self, folder: Path) -> None:
        self.faiss.write_index(self.index, str(folder / "index"))

    def facts(self) -> Facts:
        detail: dict[str, Any] = {"factory": self.factory}
        detail["build"] = str(self.faiss.get_compile_options()).strip()
        return Facts(["faiss-cpu"], None, None, detail)


def filled_for(template: str, rows: int, dim: int) -> str:
    """The factory string for so many rows of that dimension."""

    wide = -(-dim // 4) * 4
    pad = f"Pad{wide}," if wide > dim else ""
    lists = max(1, int(4 * rows**0.5))
    return template.format(lists=lists, pad=pad, half=wide // 2, quarter=wide // 4)
