# SPDX-License-Identifier: Apache-2.0
"""Peak memory of vocabularies that grow past a limit, and of training ten million words.

``python -m benchmarks.learn_vocabulary [WORDS [LIMIT [DIM]]]`` makes a stream of WORDS different
words (15,000,000 by default), each of them once beside four frequent ones a line, and measures in a
process of its own each

- ``count``: the stream counted with room for LIMIT words (10,000,000), the rarest dropped whenever
  it is full;
- ``words``: the same with room for all, of which the LIMIT most frequent are kept, as Python's;
- ``train``: `Word2Vec` of DIM dimensions (64), one epoch, of the words and tokens of ``words``.

Peaks are of the resident set, less what the process had before. Training is compared with what it
leaves: two matrices of vectors, and counts. Writes ``results/learn/vocabulary.{json,md}``.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import describe

RESULTS = Path(__file__).parent / "results" / "learn"
LINE = 16  # rare words a line
STEPS = ("count", "words", "train")


def stream(n: int) -> Iterator[str]:
    """Yield lines of n different words, and frequent ones between them."""
    for start in range(0, n, LINE):
        rare = " ".join([f"w{number:x}" for number in range(start, start + LINE)])
        yield f"the {rare} of and in"


def peak() -> int:
    """Return the largest resident set of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def counted(n: int, limit: int) -> dict[str, Any]:
    """Count the stream with room for `limit` words."""
    from vectorloom.learn import Corpus

    before = peak()
    found = Corpus(stream(n)).encode(min_count=2, limit=limit, quiet=True)
    return {"bytes": peak() - before, "words": len(found.words), "lost": found.n_lost}


def trained(n: int, limit: int, dim: int, *, train: bool) -> dict[str, Any]:
    """Keep the most frequent words of the stream, and train them."""
    from vectorloom.learn import Corpus, Word2Vec

    before = peak()
    text = Corpus(stream(n)).encode(min_count=1, limit=2 * n, max_words=limit, quiet=True)
    if not train:
        return {"bytes": peak() - before, "words": len(text.words), "tokens": text.n_tokens}
    read = peak()
    model = Word2Vec(dim, epochs=1, sample=0, n_jobs=1).fit(text)
    assert model.context_vectors_ is not None
    left = model.vectors_.nbytes + model.context_vectors_.nbytes + model.counts_.nbytes
    return {
        "bytes": peak() - before,
        "bytes_read": read - before,
        "bytes_left": left,
        "words": len(model.ids_),
        "dim": dim,
        "ratio": round((peak() - before) / left, 3),
    }


def run_one(step: str, n: int, limit: int, dim: int) -> dict[str, Any]:
    """Measure one step in this process."""
    began = time.process_time()
    counting = step == "count"
    row = counted(n, limit) if counting else trained(n, limit, dim, train=step == "train")
    return {"step": step, "seen": n, "cpu_s": round(time.process_time() - began, 1), **row}


def page(rows: list[dict[str, Any]]) -> str:
    """Return the rows as Markdown."""
    found = ["# Peak memory of ten million words", ""]
    found += ["| step | different words seen | words left | peak, MiB | bytes a word | CPU s |"]
    found += ["| --- " * 6 + "|"]
    for row in rows:
        held = min(row["seen"], row["limit"]) if row["step"] == "count" else row["words"]
        found.append(
            f"| {row['step']} | {row['seen']:,} | {row['words']:,} | {row['bytes'] / 2**20:,.0f} | "
            f"{row['bytes'] / held:.0f} | {row['cpu_s']:.0f} |"
        )
    last = rows[-1]
    found += [
        "",
        f"Training in {last['dim']} dimensions leaves {last['bytes_left'] / 2**20:,.0f} MiB of "
        "vectors and counts; its peak, reading and the words themselves included, is "
        f"{last['ratio']:.2f} times that.",
    ]
    return "\n".join(found) + "\n"


def main(arguments: list[str]) -> None:
    """Measure all steps, each in a process of its own."""
    if arguments[:1] == ["--one"]:
        print(json.dumps(run_one(arguments[1], *map(int, arguments[2:]))))
        return
    n, limit, dim = (*map(int, arguments), *(15_000_000, 10_000_000, 64)[len(arguments) :])
    rows = []
    for step in STEPS:
        given = [sys.executable, "-m", "benchmarks.learn_vocabulary", "--one", step]
        given += [str(n), str(limit), str(dim)]
        done = subprocess.run(given, check=True, capture_output=True, text=True)
        rows.append({**json.loads(done.stdout.splitlines()[-1]), "limit": limit})
        print(json.dumps(rows[-1]), flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    kept = {"machine": describe(), "rows": rows}
    (RESULTS / "vocabulary.json").write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    (RESULTS / "vocabulary.md").write_text(page(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
