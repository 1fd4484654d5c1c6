# SPDX-License-Identifier: Apache-2.0
"""Word learners beside gensim and fastText: words a second of CPU time, and quality.

``python -m benchmarks.learn_words [NAME …]`` reads ``text/corpora/enwiki-core.part*.txt.xz`` and
``text/words`` below ``$VECTORLOOM_DATA``, trains each method in a process of its own on one thread,
and writes ``results/learn/<name>.json`` and ``results/learn/words.md``. All learners get the same
sentences: lower-cased runs of letters, at most 1,000 to a sentence. Time is the CPU time of the
training alone (`process_time`), since the machine may be shared; counting the vocabulary is left
out for those that train, and in for those that count pairs.

fastText runs in the interpreter that ``$VECTORLOOM_FASTTEXT_PYTHON`` names (by default this one),
since its package needs an old NumPy. ``--threads`` times one thread against two instead, on the
clock, and writes ``results/learn/threads.md``: for a machine that nobody else uses.
"""

from __future__ import annotations

import json
import lzma
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import vectorloom as vl
from benchmarks.machine import describe

EPOCHS, DIM, WINDOW, NEGATIVE, MIN_COUNT, SAMPLE = 5, 100, 5, 5, 5, 1e-4
SETS = (
    *("WS-353-ALL", "WS-353-SIM", "WS-353-REL", "MEN-TR-3k", "MTurk-287", "RG-65"),
    *("SIMLEX-999", "RW-STANFORD", "SemEval17", "YP-130"),
)
COUNTING = ("PMISVD", "Swivel", "BitCipher", "GloVe")  # one pass over the text
CANDIDATES = 30_000
RESULTS = Path(__file__).parent / "results" / "learn"
Sentences = list[list[str]]
Trained = tuple[list[str], NDArray[np.float32], float]


def sentences(folder: Path) -> Sentences:
    """Cut the corpus as every learner gets it."""
    found = []
    for path in sorted((folder / "text" / "corpora").glob("enwiki-core.part*.txt.xz")):
        with lzma.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                words = re.findall(r"[^\W\d_]+", line.lower())
                found += [words[i : i + 1000] for i in range(0, len(words), 1000)]
    return found


def gensim(found: Sentences, **settings: Any) -> Trained:
    """gensim's Word2Vec or FastText, one worker."""
    from gensim import models

    kind = getattr(models, settings.pop("kind", "Word2Vec"))
    model = kind(
        vector_size=DIM,
        window=WINDOW,
        negative=NEGATIVE,
        min_count=MIN_COUNT,
        sample=SAMPLE,
        epochs=EPOCHS,
        workers=1,
        seed=1,
        **settings,
    )
    model.build_vocab(found)
    began = time.process_time()
    model.train(found, total_examples=len(found), epochs=EPOCHS)
    return model.wv.index_to_key, model.wv.vectors, time.process_time() - began


# Reads settings from stdin; counts and trains, then writes words, vectors and its CPU time.
FASTTEXT = """
import json, sys, time
import fasttext, numpy
given = json.load(sys.stdin)
target = given.pop("target")
began = time.process_time()
model = fasttext.train_unsupervised(**given)
took = time.process_time() - began
words = model.get_words()
vectors = numpy.stack([model.get_word_vector(word) for word in words])
numpy.savez(target, words=numpy.array(words), vectors=vectors, took=took)
"""


def fasttext(found: Sentences, **settings: Any) -> Trained:
    """fastText on a file of the sentences; its time holds the reading too."""
    given = {
        "model": "skipgram",
        "dim": DIM,
        "ws": WINDOW,
        "neg": NEGATIVE,
        "t": SAMPLE,
        "lr": 0.025,
    }
    given |= {"minCount": MIN_COUNT, "epoch": EPOCHS, "thread": 1, "verbose": 0, **settings}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "text.txt", Path(folder) / "found.npz"
        source.write_text("".join(" ".join(words) + "\n" for words in found), encoding="utf-8")
        interpreter = os.environ.get("VECTORLOOM_FASTTEXT_PYTHON", sys.executable)
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        told = json.dumps(given | {"input": str(source), "target": str(target)})
        subprocess.run([interpreter, "-c", FASTTEXT], input=told, text=True, check=True, env=clean)
        with np.load(target) as stored:
            return stored["words"].tolist(), stored["vectors"], float(stored["took"])


def ours(found: Sentences, *, kind: str, **settings: Any) -> Trained:
    """One of our learners on one thread."""
    encoded = vl.learn.Corpus(found).encode(min_count=MIN_COUNT)
    model = getattr(vl.learn, kind)(n_jobs=1, **{"vector_size": DIM, **settings})
    began = time.process_time()
    model.fit(encoded)
    return model.index_to_key, model.vectors_, time.process_time() - began


METHODS: dict[str, tuple[Callable[..., Trained], dict[str, Any]]] = {
    "gensim skip-gram": (gensim, {"sg": 1}),
    "gensim CBOW": (gensim, {"sg": 0}),
    "gensim CBOW, alpha 0.05": (gensim, {"sg": 0, "alpha": 0.05}),
    "gensim subwords": (gensim, {"kind": "FastText", "sg": 1}),
    "fastText skip-gram": (fasttext, {"minn": 0, "maxn": 0}),
    "fastText subwords": (fasttext, {"minn": 3, "maxn": 6}),
    "Word2Vec": (ours, {"kind": "Word2Vec"}),
    "Word2Vec, seeded": (ours, {"kind": "Word2Vec", "random_state": 1}),
    "Word2Vec CBOW": (ours, {"kind": "Word2Vec", "sg": 0}),
    "FastText": (ours, {"kind": "FastText"}),
    "FastText, seeded": (ours, {"kind": "FastText", "random_state": 1}),
    "PMISVD": (ours, {"kind": "PMISVD"}),
    "Swivel": (ours, {"kind": "Swivel"}),
    "GloVe": (ours, {"kind": "GloVe", "x_max": 10, "epochs": 10}),
    "BitCipher, 300 dimensions": (ours, {"kind": "BitCipher", "vector_size": 300}),
    "PMISVD, 300 dimensions": (ours, {"kind": "PMISVD", "vector_size": 300}),
}


def quality(words: list[str], vectors: NDArray[np.float32], folder: Path) -> dict[str, float]:
    """Spearman on each similarity set, their mean, and the share of analogies solved."""
    from vectorloom.measure import read_analogies, read_word_pairs, word_similarity

    found = {}
    for name in SETS:
        pairs = read_word_pairs(folder / "text" / "words" / "similarity" / f"EN-{name}.tsv")
        found[name] = round(float(word_similarity(words, vectors, pairs).value), 4)
    found["mean"] = round(float(np.mean(list(found.values()))), 4)
    questions = read_analogies(folder / "text" / "words" / "analogy" / "questions-words.txt")
    found["analogies"] = round(solved(words, vectors, list(chain(*questions.values()))), 4)
    return found


def solved(
    words: list[str], vectors: NDArray[np.float32], questions: list[tuple[str, str, str, str]]
) -> float:
    """Share of the questions of known words that 3CosAdd solves among the 30,000 first words."""
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = {word: row for row, word in enumerate(words)}
    asked = [[rows.get(word.lower(), -1) for word in question] for question in questions]
    known = np.array([row for row in asked if min(row) >= 0])
    right = 0
    for start in range(0, len(known), 512):
        a, b, c, d = known[start : start + 512].T
        scores = (units[b] - units[a] + units[c]) @ units[:CANDIDATES].T
        for part in (a, b, c):
            inside = np.flatnonzero(part < CANDIDATES)
            scores[inside, part[inside]] = -np.inf
        right += int((scores.argmax(axis=1) == d).sum())
    return right / len(known)


def run_one(name: str, folder: Path) -> None:
    """Train and judge one method in this process; write its row."""
    train, settings = METHODS[name]
    found = sentences(folder)
    n_tokens = sum(map(len, found))
    words, vectors, seconds = train(found, **settings)
    package = {gensim: "gensim", fasttext: "fasttext", ours: "vectorloom"}[train]
    epochs = 1 if settings.get("kind") in COUNTING else EPOCHS
    row = {
        "name": name,
        "version": vl.__version__ if train is ours else _version(package),
        "tokens": n_tokens,
        "epochs": epochs,
        "cpu_s": round(seconds, 2),
        "words_per_s": round(n_tokens * epochs / seconds),
        "vocabulary": len(words),
        "quality": quality(words, vectors, folder),
        "machine": describe(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{_slug(name)}.json").write_text(json.dumps(row, indent=1, sort_keys=True) + "\n")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # of another interpreter
        return ""


def threads(folder: Path) -> str:
    """Time one thread against two on the clock, three turns by turns; the least of each counts."""
    found = vl.learn.Corpus(sentences(folder)).encode(min_count=MIN_COUNT)
    lines = ["# Two threads beside one", "", "| learner | one, s | two, s | times |"]
    lines.append("| --- " * 4 + "|")
    for name, kind, settings in (
        ("Word2Vec", "Word2Vec", {}),
        ("Word2Vec, seeded", "Word2Vec", {"random_state": 1}),
        ("Word2Vec CBOW", "Word2Vec", {"sg": 0}),
        ("FastText", "FastText", {}),
    ):
        best = {1: np.inf, 2: np.inf}
        for n_jobs in (1, 2) * 3:
            model = getattr(vl.learn, kind)(DIM, epochs=1, n_jobs=n_jobs, **settings)
            began = time.perf_counter()
            model.fit(found)
            best[n_jobs] = min(best[n_jobs], time.perf_counter() - began)
        lines.append(f"| {name} | {best[1]:.2f} | {best[2]:.2f} | {best[1] / best[2]:.2f} |")
    return "\n".join(lines) + "\n"


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())


def table() -> str:
    """Return the rows that there are, in the order of the methods, as Markdown."""
    shown = ("mean", "WS-353-ALL", "MEN-TR-3k", "SIMLEX-999", "RW-STANFORD", "analogies")
    lines = [
        "# Word learners beside gensim",
        "",
        "| method | CPU s | words/s | " + " | ".join(shown) + " |",
        "| --- " * (len(shown) + 3) + "|",
    ]
    for name in METHODS:
        path = RESULTS / f"{_slug(name)}.json"
        if not path.exists():
            continue
        row = json.loads(path.read_text())
        speed = f"{row['words_per_s'] / 1e3:,.0f} k"
        cells = [f"{row['quality'][column]:.3f}" for column in shown]
        lines.append(f"| {name} | {row['cpu_s']:.0f} | {speed} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(names: list[str]) -> None:
    """Run the methods of these names, all by default, each in a process of its own."""
    folder = Path(os.environ["VECTORLOOM_DATA"])
    if names[:1] == ["--one"]:
        run_one(names[1], folder)
        return
    if names == ["--threads"]:
        (RESULTS / "threads.md").write_text(threads(folder))
        print((RESULTS / "threads.md").read_text())
        return
    forced = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for name in names or METHODS:
        command = [sys.executable, "-m", "benchmarks.learn_words", "--one", name]
        subprocess.run(command, check=False, env=forced)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "words.md").write_text(table())
    print(table())


if __name__ == "__main__":
    main(sys.argv[1:])
