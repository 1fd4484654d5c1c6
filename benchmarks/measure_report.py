# SPDX-License-Identifier: Apache-2.0
"""The whole report on a million vectors: seconds, CPU seconds and peak memory of the command.

    python -m benchmarks.measure_report [--rows 1000000] [--dim 384] [--file rows.npy] [--jobs 2]

Vectors are generated: topics are normal, rows are topic + 0.8 normal in as many directions, turned
by nothing, with variances that fall as 1 / sqrt(1 + j / 20), brought to length 1; float32. The file
is kept where ``--file`` names it and is used again.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

_BLOCK = 20_000
_TOPICS = 5000


def generate(path: Path, rows: int, dim: int, seed: int = 0) -> None:
    """Write generated vectors to a .npy file, block by block.

    Parameters
    ----------
    path : Path
    rows, dim : int
    seed : int, default=0
    """
    rng = np.random.default_rng(seed)
    scale = ((1 + np.arange(dim) / 20) ** -0.25).astype(np.float32)
    topics = rng.standard_normal((_TOPICS, dim), dtype=np.float32)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, dim))
    for start in range(0, rows, _BLOCK):
        n = min(_BLOCK, rows - start)
        block = topics[rng.integers(0, _TOPICS, n)]
        block += np.float32(0.8) * rng.standard_normal((n, dim), dtype=np.float32)
        block *= scale
        out[start : start + n] = block / np.linalg.norm(block, axis=1, keepdims=True)
    out.flush()


def main() -> None:
    """Generate what is missing, run the command, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--file", type=Path, default=None)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = asked.file or Path(folder) / "rows.npy"
        if not file.exists():
            generate(file, asked.rows, asked.dim)
        page = Path(folder) / "report.html"
        command = [sys.executable, "-m", "vectorloom", "measure", str(file)]
        command += ["--jobs", str(asked.jobs), "--report", str(page), "--json"]
        began = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        wall = time.perf_counter() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = json.loads(done.stdout)
        result = {
            "rows": found["n_rows"],
            "dim": found["dim"],
            "jobs": asked.jobs,
            "seconds": round(wall, 1),
            "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
            "peak_mib": round(used.ru_maxrss / 1024),
            "near_copies": [found["near"][key] for key in ("low", "share", "high")],
            "dimension": [found["dimension"][key] for key in ("low", "value", "high")],
            "skewness": [found["hubness"][key] for key in ("low", "skewness", "high")],
        }
        sys.stdout.write(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
