# SPDX-License-Identifier: Apache-2.0
"""PLAID by fast-plaid, for an environment of its own (it pins a version of torch).

``python plaid_worker.py FOLDER N_QUERIES K OUT`` reads the token vectors of one collection, builds
an index with fast-plaid's defaults (4 bits), searches on one thread at several settings, and writes
seconds and ids as JSON. CPU seconds of the whole process are counted; the best of two rounds.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402
from fast_plaid import search  # noqa: E402

# (n_ivf_probe, n_full_scores): from fast to thorough; the last but one is the default.
SETTINGS = ((1, 128), (2, 256), (4, 512), (4, 1024), (8, 4096), (32, 8192))
ROUNDS = 2


def main(folder: str, n_queries: int, k: int, out: str) -> None:
    """Build, search, write."""
    torch.set_num_threads(1)

    def side(name: str, most: int | None) -> list[torch.Tensor]:
        values = np.load(Path(folder) / f"{name}_values.npy").astype(np.float32)
        offsets = np.load(Path(folder) / f"{name}_offsets.npy")
        n = len(offsets) - 1 if most is None else min(most, len(offsets) - 1)
        return [torch.from_numpy(values[offsets[i] : offsets[i + 1]]) for i in range(n)]

    documents, queries = side("docs", None), side("queries", n_queries)
    with tempfile.TemporaryDirectory() as where:
        index = search.FastPlaid(index=where, device="cpu")
        start = time.process_time()
        index.create(documents_embeddings=documents)
        build = time.process_time() - start
        size = sum(path.stat().st_size for path in Path(where).rglob("*") if path.is_file())
        results = []
        for probes, full in SETTINGS:
            seconds = float("inf")
            for _ in range(ROUNDS):
                start = time.process_time()
                found = index.search(
                    queries_embeddings=queries,
                    top_k=k,
                    n_ivf_probe=probes,
                    n_full_scores=full,
                    show_progress=False,
                    n_processes=1,
                )
                seconds = min(seconds, time.process_time() - start)
            ids = [[[int(i), float(s)] for i, s in hits] for hits in found]
            results.append({"probes": probes, "full": full, "seconds": seconds, "hits": ids})
    Path(out).write_text(json.dumps({"build_s": build, "bytes": size, "results": results}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
