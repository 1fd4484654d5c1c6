# SPDX-License-Identifier: Apache-2.0
"""PLAID, for an environment of its own (pylate and fast-plaid pin versions of torch).

``python plaid_worker.py FOLDER N_QUERIES K OUT [fast|stanford]`` reads the token vectors of one
collection, builds an index of 4 bits, searches on one thread at several settings, and writes
seconds and ids as JSON. CPU seconds of the whole process are counted; the best of two rounds.

There are two of them: fast-plaid, and the one of ColBERT's authors, both in pylate 1.6. fast-plaid
multiplies float16 matrices whatever the device is. Where the processor has no such instructions,
torch does that element by element: 1 GFLOP/s was seen beside 76 with float32, so that 200,000
vectors take a quarter of an hour to index and a query some seconds. The other one computes in
float32. Which is taken where none is named follows from a measurement of both products.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402

ROUNDS = 2
BITS = 4
# (n_ivf_probe, n_full_scores) of fast-plaid, from fast to thorough; the last but one is default.
FAST = ((1, 128), (2, 256), (4, 512), (4, 1024), (8, 4096), (32, 8192))
# (ncells, centroid_score_threshold, ndocs): those of the paper for k of 10, 100 and 1,000, and
# pylate's default.
STANFORD = ((1, 0.5, 256), (2, 0.45, 1024), (4, 0.4, 4096), (8, 0.35, 8192))


def rate(dtype: torch.dtype) -> float:
    """Return products a second of a small matrix."""
    a, b = torch.ones(256, 384).to(dtype), torch.ones(384, 256).to(dtype)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        a @ b
        seconds.append(time.process_time() - start)
    return a.numel() * 256 / max(min(seconds), 1e-9)


def measured(search: Callable[..., list], settings: tuple) -> list:
    """Return seconds and hits of each setting."""
    results = []
    for setting in settings:
        seconds = float("inf")
        for _ in range(ROUNDS):
            start = time.process_time()
            found = search(*setting)
            seconds = min(seconds, time.process_time() - start)
        results.append({"setting": list(setting), "seconds": seconds, "hits": found})
    return results


def fast(documents: list, queries: list, k: int, where: str) -> dict:
    """Run fast-plaid."""
    from fast_plaid.search import FastPlaid

    index = FastPlaid(index=where, device="cpu")
    start = time.process_time()
    index.create(documents_embeddings=documents, nbits=BITS)
    build = time.process_time() - start

    def search(probes: int, full: int) -> list:
        found = index.search(
            queries_embeddings=queries,
            top_k=k,
            n_ivf_probe=probes,
            n_full_scores=full,
            show_progress=False,
            n_processes=1,
        )
        return [[[int(i), float(s)] for i, s in hits] for hits in found]

    return {"build_s": build, "results": measured(search, FAST)}


def stanford(documents: list, queries: list, k: int, where: str) -> dict:
    """Run the index of ColBERT's authors."""
    from pylate.indexes.stanford_plaid import StanfordPLAID

    index = StanfordPLAID(
        index_folder=where,
        index_name="plaid",
        override=True,
        embedding_size=documents[0].shape[1],
        nbits=BITS,
    )
    start = time.process_time()
    index.add_documents([str(i) for i in range(len(documents))], documents)
    build = time.process_time() - start

    def search(cells: int, threshold: float, docs: int) -> list:
        index.searcher.configure(ncells=cells, centroid_score_threshold=threshold, ndocs=docs)
        hits = []
        for query in queries:
            ids, _, scores = index.searcher.search(query, k=k)
            hits.append([[int(i), float(s)] for i, s in zip(ids, scores, strict=True)])
        return hits

    return {"build_s": build, "results": measured(search, STANFORD)}


def main(folder: str, n_queries: int, k: int, out: str, which: str = "") -> None:
    """Build, search, write."""
    torch.set_num_threads(1)
    rates = {name: rate(getattr(torch, name)) for name in ("float32", "float16")}
    which = which or ("fast" if rates["float16"] > rates["float32"] / 4 else "stanford")

    def side(name: str, most: int | None) -> list[torch.Tensor]:
        values = np.load(Path(folder) / f"{name}_values.npy").astype(np.float32)
        offsets = np.load(Path(folder) / f"{name}_offsets.npy")
        n = len(offsets) - 1 if most is None else min(most, len(offsets) - 1)
        return [torch.from_numpy(values[offsets[i] : offsets[i + 1]]) for i in range(n)]

    documents, queries = side("docs", None), side("queries", n_queries)
    with tempfile.TemporaryDirectory() as where:
        result = {"fast": fast, "stanford": stanford}[which](documents, queries, k, where)
        result["bytes"] = sum(p.stat().st_size for p in Path(where).rglob("*") if p.is_file())
    result |= {"which": which, "float16_over_float32": rates["float16"] / rates["float32"]}
    Path(out).write_text(json.dumps(result))


if __name__ == "__main__":
    folder, n_queries, k, out, *which = sys.argv[1:]
    main(folder, int(n_queries), int(k), out, *which)
