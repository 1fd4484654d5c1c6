# SPDX-License-Identifier: Apache-2.0
"""Learners of texts beside BM25 and gensim: retrieval and sentence similarity.

``python -m benchmarks.learn_documents [NAME …]`` reads ``text/ir`` and ``text/sentences`` below
``$VECTORLOOM_DATA``, learns each method from each collection alone, in a process of its own on one
thread, and writes ``results/learn/documents/<name>.json`` and ``results/learn/documents.md``.

Retrieval: learned from the documents, nDCG@10 of the judged test queries under cosine. All methods
get the same terms, without stop words and stemmed. Similarity: learned from the sentences of the
STS benchmark (all splits, without their scores) and STS12-16 together, Spearman of the cosine with
the score over all pairs of a year; words as they are. Times are CPU seconds of learning alone.

Another learner is one line in `METHODS`: anything with ``fit(texts)`` and ``transform(texts)``.
"""

from __future__ import annotations

import json
import lzma
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import vectorloom as vl
from benchmarks.machine import describe
from vectorloom.learn.terms import Terms
from vectorloom.select.gains import ndcg

COLLECTIONS = ("scifact", "nfcorpus", "npl", "cranfield")
YEARS = ("sts12", "sts13", "sts14", "sts15", "sts16", "stsb")
RESULTS = Path(__file__).parent / "results" / "learn"
SEEDED = {"n_jobs": 1, "random_state": 1}
SMALL = {**SEEDED, "min_count": 2}
Lists = list[list[str]]


class Bm25:
    """BM25 under the names of a learner: its search stands for the cosines of vectors."""

    def fit(self, texts: Lists) -> Bm25:
        """Index the texts."""
        self.index = vl.index.BM25(k1=0.9, b=0.4, analyzer=str.split)
        self.index.add([" ".join(text) for text in texts])
        return self

    def rank(self, queries: Lists, k: int) -> NDArray[np.int64]:
        """Return the k best texts of each query."""
        found: NDArray[np.int64] = self.index.search([" ".join(q) for q in queries], k=k).ids
        return found


class Joined:
    """A learner that takes strings only: terms are joined by blanks."""

    def __init__(self, learner: Any) -> None:
        self.learner = learner

    def fit(self, texts: Lists) -> Joined:
        """Learn from the texts."""
        self.learner.fit([" ".join(text) for text in texts])
        return self

    def transform(self, texts: Lists) -> NDArray[np.float32]:
        """Return the vectors of texts."""
        found: NDArray[np.float32] = self.learner.transform([" ".join(text) for text in texts])
        return found


class Products(Joined):
    """A learner whose vectors are compared by their products."""

    def fit(self, texts: Lists) -> Products:
        """Learn from the texts, and index them."""
        super().fit(texts)
        self.index = vl.index.Exact(metric="ip").fit(self.learner.vectors_)
        return self

    def rank(self, queries: Lists, k: int) -> NDArray[np.int64]:
        """Return the k best texts of each query."""
        found: NDArray[np.int64] = self.index.search(self.transform(queries), k=k).ids
        return found


class WithBm25:
    """Products beside BM25: 0.4 and 0.6 of min-max scores, the same for all collections."""

    def __init__(self, learner: Any) -> None:
        self.vectors = Products(learner)

    def fit(self, texts: Lists) -> WithBm25:
        """Learn from the texts, and index them twice."""
        legs = {"words": Bm25().fit(texts).index, "vectors": self.vectors.fit(texts).index}
        weights = {"words": 0.6, "vectors": 0.4}
        self.index = vl.index.Hybrid(legs, "weighted", weights=weights)
        return self

    def rank(self, queries: Lists, k: int) -> NDArray[np.int64]:
        """Return the k best texts of each query."""
        words = [" ".join(query) for query in queries]
        asked = {"words": words, "vectors": self.vectors.transform(queries)}
        found: NDArray[np.int64] = self.index.search(asked, k=k).ids
        return found


class Gensim:
    """gensim's Doc2Vec with the settings of ours."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def fit(self, texts: Lists) -> Gensim:
        """Learn from the texts."""
        from gensim.models.doc2vec import Doc2Vec, TaggedDocument

        tagged = [TaggedDocument(words, [i]) for i, words in enumerate(texts)]
        self.model = Doc2Vec(tagged, dm_mean=1, workers=1, seed=1, **self.settings)
        self.vectors_ = self.model.dv.vectors
        return self

    def transform(self, texts: Lists) -> NDArray[np.float32]:
        """Infer the vectors of texts."""
        return np.array([self.model.infer_vector(words) for words in texts])


def codes(**settings: Any) -> Any:
    """Binary paragraph vectors, their bits as rows of plus and minus one."""

    class Codes(vl.learn.ParagraphVectors):
        def transform(self, texts: Any) -> NDArray[np.float32]:
            return np.unpackbits(super().transform(texts), axis=1).astype(np.float32) * 2 - 1

    return Codes(128, binary=True, **settings)


LATENT = {"stop_words": None, "stem": False, "n_jobs": 1}
DOC2VEC = {"negative": 5, "epochs": 20, "alpha": 0.05}
PEER = {**DOC2VEC, "vector_size": 100, "window": 5, "min_count": 2, "sample": 1e-3}
METHODS: dict[str, Callable[[], Any]] = {
    "BM25": Bm25,
    "LatentSemantic": lambda: Joined(vl.learn.LatentSemantic(**LATENT)),
    "DualEncoder": lambda: Products(vl.learn.DualEncoder(**LATENT)),
    "BM25 + DualEncoder": lambda: WithBm25(vl.learn.DualEncoder(**LATENT)),
    "SIF, own words": lambda: vl.learn.SIF(**SMALL),
    "uSIF, own words": lambda: vl.learn.SIF(weighting="usif", **SMALL),
    "SIF, 300 dimensions": lambda: vl.learn.SIF(vl.learn.PMISVD(300, min_count=2, n_jobs=1)),
    "ParagraphVectors DBOW": lambda: vl.learn.ParagraphVectors(**SMALL, **DOC2VEC),
    "Sent2Vec": lambda: vl.learn.Sent2Vec(**SMALL, sample=1e-3),
    "ParagraphVectors DM": lambda: vl.learn.ParagraphVectors(dm=1, **SMALL, **DOC2VEC),
    "ParagraphVectors, 128 bits": lambda: codes(**SMALL, **DOC2VEC),
    "CMOW": lambda: vl.learn.CMOW(vector_size=0, **SMALL),
    "CBOW-CMOW": lambda: vl.learn.CMOW(**SMALL),
    "gensim Doc2Vec DBOW": lambda: Gensim(dm=0, **PEER),
    "gensim Doc2Vec DM": lambda: Gensim(dm=1, **PEER),
}


def lines(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines, packed or not."""
    packed = path.with_suffix(path.suffix + ".xz")
    raw = lzma.decompress(packed.read_bytes()) if packed.exists() else path.read_bytes()
    return [json.loads(line) for line in raw.decode().split("\n") if line]


def retrieval(make: Callable[[], Any], folder: Path) -> tuple[float, float]:
    """Return nDCG@10 and the CPU seconds of learning."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    from vectorloom.measure.trec_files import read_qrels

    cut = Terms(stop_words=ENGLISH_STOP_WORDS)
    documents = lines(folder / "corpus.jsonl")
    texts = [cut(f"{entry['title']} {entry['text']}") for entry in documents]
    judged = read_qrels(folder / "qrels" / "test.tsv")
    queries = [entry for entry in lines(folder / "queries.jsonl") if entry["_id"] in judged]
    asked = [cut(entry["text"]) for entry in queries]
    model = make()
    began = time.process_time()
    model.fit(texts)
    seconds = time.process_time() - began
    if hasattr(model, "rank"):
        best = model.rank(asked, 11)
    else:
        cosines = _units(model.transform(asked)) @ _units(model.transform(texts)).T
        best = np.argsort(-cosines, axis=1, kind="stable")[:, :11]
    names = [str(entry["_id"]) for entry in documents]
    values = []
    for entry, ranked in zip(queries, best, strict=True):
        grades = judged[entry["_id"]]
        found = [names[row] for row in ranked if row >= 0][:10]
        gains = [max(grades.get(name, 0), 0) for name in found]
        values.append(ndcg(gains, sorted(grades.values(), reverse=True), 10))
    return float(np.mean(values)), seconds


def sentence_pairs(folder: Path) -> dict[str, list[tuple[float, str, str]]]:
    """Return the scored pairs of each year, and of the benchmark's test and other splits."""
    found: dict[str, list[tuple[float, str, str]]] = {}
    for path in sorted((folder / "sts12-16").glob("20*.test.tsv.xz")):
        with lzma.open(path, "rt", encoding="utf-8") as file:
            rows = [line.rstrip("\n").split("\t") for line in file]
        year = found.setdefault(f"sts{path.name[2:4]}", [])
        year += [(float(row[0]), row[1], row[2]) for row in rows if _is_number(row[0])]
    for split in ("train", "dev", "test"):
        with lzma.open(folder / "stsbenchmark" / f"{split}.tsv.xz", "rt", encoding="utf-8") as file:
            rows = [line.rstrip("\n").split("\t") for line in file][1:]
        name = "stsb" if split == "test" else f"stsb-{split}"
        found[name] = [(float(row[0]), row[1], row[2]) for row in rows]
    return found


def similarity(make: Callable[[], Any], folder: Path) -> tuple[dict[str, float], float]:
    """Return Spearman of each year and the CPU seconds of learning."""
    from scipy.stats import spearmanr

    cut = Terms(stem=False)
    pairs = sentence_pairs(folder)
    texts = sorted({text for found in pairs.values() for _, *both in found for text in both})
    model = make()
    if not hasattr(model, "transform"):
        return {}, 0.0
    began = time.process_time()
    model.fit([cut(text) for text in texts])
    seconds = time.process_time() - began
    rows = _units(model.transform([cut(text) for text in texts]))
    place = {text: i for i, text in enumerate(texts)}
    values = {}
    for name in YEARS:
        left = rows[[place[text] for _, text, _ in pairs[name]]]
        right = rows[[place[text] for *_, text in pairs[name]]]
        scores = [score for score, *_ in pairs[name]]
        values[name] = round(float(spearmanr((left * right).sum(axis=1), scores)[0]), 4)
    return values, seconds


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", text) is not None


def _units(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


def run_one(name: str, folder: Path) -> None:
    """Learn and judge one method in this process; write its row after each collection."""
    target = RESULTS / "documents" / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    row: dict[str, Any] = {"name": name, "ndcg_10": {}, "cpu_s": {}, "spearman": {}}
    row["machine"] = describe()
    for collection in COLLECTIONS:
        value, seconds = retrieval(METHODS[name], folder / "text" / "ir" / collection)
        row["ndcg_10"][collection] = round(value, 4)
        row["cpu_s"][collection] = round(seconds, 2)
        target.write_text(json.dumps(row, indent=1, sort_keys=True) + "\n")
    row["spearman"], seconds = similarity(METHODS[name], folder / "text" / "sentences")
    row["cpu_s"]["sts"] = round(seconds, 2)
    target.write_text(json.dumps(row, indent=1, sort_keys=True) + "\n")


def table() -> str:
    """Return the rows that there are, in the order of the methods, as Markdown."""
    head = ["method", *COLLECTIONS, *YEARS, "CPU s"]
    found = ["# Learners of texts beside BM25 and Doc2Vec", ""]
    found += ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for name in METHODS:
        path = RESULTS / "documents" / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}.json"
        if not path.exists():
            continue
        row = json.loads(path.read_text())
        cells = [_cell(row["ndcg_10"], key) for key in COLLECTIONS]
        cells += [_cell(row["spearman"], key) for key in YEARS]
        found.append(f"| {name} | " + " | ".join(cells) + f" | {sum(row['cpu_s'].values()):.0f} |")
    return "\n".join(found) + "\n"


def _cell(values: dict[str, float], key: str) -> str:
    return f"{values[key]:.3f}" if key in values else "-"


def main(names: list[str]) -> None:
    """Run the methods of these names, all by default, each in a process of its own."""
    folder = Path(os.environ["VECTORLOOM_DATA"])
    if names[:1] == ["--one"]:
        run_one(names[1], folder)
        return
    forced = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for name in names or METHODS:
        command = [sys.executable, "-m", "benchmarks.learn_documents", "--one", name]
        subprocess.run(command, check=False, env=forced)
        (RESULTS / "documents.md").write_text(table())
    print(table())


if __name__ == "__main__":
    main(sys.argv[1:])
