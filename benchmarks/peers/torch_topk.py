# SPDX-License-Identifier: Apache-2.0
"""torch on the CPU: a block of the product, `topk`, keep the best; float32 or bfloat16."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers.base import Answer, Facts, Floats, SearchPeer, load


class Peer(SearchPeer):
    """Inner product only. bfloat16 rounds the rows, so its answer is not exact."""

    def __init__(
        self, *, threads: int, metric: str, dtype: str = "float32", block: int = 8192
    ) -> None:
        del metric
        self.torch: Any = load("torch")
        self.torch.set_num_threads(threads)
        self.dtype = getattr(self.torch, dtype)
        self.block = block

    def build(self, base: Floats) -> None:
        self.base = self.torch.from_numpy(np.array(base, np.float32)).to(self.dtype)
        self.row_bytes = self.base.numel() * self.base.element_size()

    def search(self, queries: Floats, k: int) -> Answer:
        torch = self.torch
        with torch.inference_mode():
            asked = torch.from_numpy(np.array(queries)).to(self.dtype)
            scores, ids = [], []
            for start in range(0, len(self.base), self.block):
                product = asked @ self.base[start : start + self.block].T
                best = product.topk(min(k, product.shape[1]), dim=1)
                scores.append(best.values)
                ids.append(best.indices + start)
            best = torch.cat(scores, 1).topk(k, dim=1)
            found = torch.cat(ids, 1).gather(1, best.indices)
        return Answer(found.numpy(), best.values.float().numpy())

    def facts(self) -> Facts:
        level = str(self.torch.backends.cpu.get_cpu_capability())
        return Facts(["torch"], None, self.row_bytes, {"capability": level})
