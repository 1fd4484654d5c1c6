# SPDX-License-Identifier: Apache-2.0
"""The expansion encoder beside BM25: what is found, and what it costs at each sparsity.

``python -m benchmarks.learn_expansion [COLLECTION …]`` reads ``text/ir`` below
``$VECTORLOOM_DATA``, learns from each collection in a process of its own on one thread, and writes
``results/learn/expansion/<collection>.json`` and ``results/learn/expansion.md``.

nDCG@10 of the judged test queries. BM25 and the encoder have the same words (English stop words
out, light stems). The curve is learned from the texts alone, λ (`flops`) from 0 to 1; microseconds
a query are those of an exact `vl.index.Inverted` on one thread, CPU time, the fastest of seven
rounds over all queries, texts of queries being cut already.

Where there are training queries, the encoder is also learned from their answers, and from a
teacher's scores without their answers: BM25 and MiniLM, min-max, a half each. Test queries none of
whose answers a training query has are judged apart. p is two-sided, of random signs, against BM25.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import vectorloom as vl
from benchmarks.learn_documents import lines
from benchmarks.machine import describe
from vectorloom.learn.terms import Terms
from vectorloom.select.gains import ndcg

# Settings were chosen on the first four, not on the last two.
COLLECTIONS = ("scifact", "nfcorpus", "npl", "cranfield", "med", "cisi")
RESULTS = Path(__file__).parent / "results" / "learn"
PENALTIES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
SEEDED = {"n_jobs": 1, "random_state": 0}
ROUNDS = 7
TEACHER_DEPTH = 32
DISTILLED = {"flops": 0.003, "epochs": 5}
MOST_EPOCHS, MOST_PAIRS = 5, 50_000  # of answers, and over all epochs


class Collection:
    """Texts, queries and judgements.

    Parameters
    ----------
    name : str
    """

    def __init__(self, name: str) -> None:
        from vectorloom.measure.trec_files import read_qrels

        self.name = name
        self.data = Path(os.environ["VECTORLOOM_DATA"])
        folder = self.data / "text" / "ir" / name
        corpus = lines(folder / "corpus.jsonl")
        self.names = [str(entry["_id"]) for entry in corpus]
        self.titles = [entry["title"] for entry in corpus]
        self.texts = [entry["text"] for entry in corpus]
        self.asked = {entry["_id"]: entry["text"] for entry in lines(folder / "queries.jsonl")}
        self.judged = read_qrels(folder / "qrels" / "test.tsv")
        self.ids = [query for query in self.asked if query in self.judged]
        self.queries = [self.asked[query] for query in self.ids]
        found = sorted((folder / "qrels").glob("train.tsv*"))
        self.training = read_qrels(found[0]) if found else {}

    def pairs(self) -> tuple[list[str], list[str], NDArray[np.int64]]:
        """Return ids and texts of training queries, and which texts answer which."""
        place = {name: i for i, name in enumerate(self.names)}
        ids = [query for query in self.training if query in self.asked]
        pairs = [
            (i, place[name])
            for i, query in enumerate(ids)
            for name, grade in self.training[query].items()
            if grade > 0 and name in place
        ]
        return ids, [self.asked[query] for query in ids], np.array(pairs, dtype=np.int64)

    def values(self, hits: Any) -> NDArray[np.float64]:
        """Return nDCG@10 of each test query; hits have positions of texts as ids."""
        found = []
        for query, row in zip(self.ids, hits.ids, strict=True):
            grades = self.judged[query]
            best = [self.names[int(place)] for place in row if place is not None and place >= 0]
            gains = [max(grades.get(name, 0), 0) for name in best[:10]]
            found.append(ndcg(gains, sorted(grades.values(), reverse=True), 10))
        return np.array(found)

    def unseen(self, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which test queries have no answer that a training query has."""
        taught = {self.names[text] for text in pairs[:, 1]}
        return np.array(
            [not taught & {n for n, g in self.judged[q].items() if g > 0} for q in self.ids]
        )


def micros(search: Any, n: int) -> float:
    """Return the microseconds a query of the fastest round, of CPU: the machine has other work."""
    took = []
    for _ in range(ROUNDS):
        began = time.process_time()
        search()
        took.append(time.process_time() - began)
    return min(took) / n * 1e6


def measured(encoder: Any, collection: Collection, learn: Any) -> tuple[dict[str, Any], Any]:
    """Learn, index and ask; return the row and the index."""
    began = time.process_time()
    learn(encoder)
    seconds = time.process_time() - began
    index = vl.index.Inverted(mode="exact", n_jobs=1).fit(encoder.vectors_)
    queries = encoder.transform_queries(collection.queries)
    values = collection.values(index.search(queries, k=10))
    row = {
        "ndcg_10": round(float(values.mean()), 4),
        "terms_a_text": round(encoder.vectors_.nnz / len(collection.texts), 1),
        "terms_a_query": round(queries.nnz / len(collection.queries), 1),
        "postings_a_query": round(float((_document_counts(encoder) @ (queries > 0).T).mean()), 1),
        "us_a_query": round(micros(lambda: index.search(queries, k=10), queries.shape[0]), 1),
        "fit_cpu_s": round(seconds, 2),
    }
    return row | {"values": values}, (index, queries)


def _document_counts(encoder: Any) -> NDArray[np.float64]:
    counts = np.bincount(encoder.vectors_.indices, minlength=encoder.vectors_.shape[1])
    return counts[None].astype(np.float64)


def run_one(name: str) -> None:
    """Measure one collection in this process."""
    data = Collection(name)
    joined = [f"{title} {text}" for title, text in zip(data.titles, data.texts, strict=True)]
    terms = _terms()
    words = vl.index.BM25(analyzer=terms, n_jobs=1).fit(joined)
    base = data.values(words.search(data.queries, k=10))
    cut = [" ".join(terms(query)) for query in data.queries]
    plain = vl.index.BM25(analyzer=str.split, n_jobs=1).fit([" ".join(terms(t)) for t in joined])
    result: dict[str, Any] = {"name": name, "texts": len(joined), "queries": len(base)}
    result["machine"] = describe()
    result["bm25"] = {
        "ndcg_10": round(float(base.mean()), 4),
        "us_a_query": round(micros(lambda: plain.search(cut, k=10), len(cut)), 1),
    }

    def from_texts(model: Any) -> None:
        model.fit(data.texts, titles=data.titles)

    rows = {"epochs=0": {"epochs": 0}} | {f"λ = {x:g}": {"flops": x} for x in PENALTIES}
    rows["queries expanded"] = {"expand_queries": True}
    result["curve"], legs = {}, {}
    for label, settings in rows.items():
        model = vl.learn.ExpansionEncoder(**SEEDED, **settings)
        row, legs[label] = measured(model, data, from_texts)
        row["better_than_bm25"] = _p_value(row.pop("values"), base)
        result["curve"][label] = row
        print(name, label, row, flush=True)
    result["hybrids"] = hybrids(data, words, legs["λ = 0.03"])
    print(result["hybrids"], flush=True)
    if data.training:
        result["taught"] = taught(data, words, base)
    target = RESULTS / "expansion" / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, sort_keys=True, ensure_ascii=False)
    target.write_text(text + "\n", encoding="utf-8")


def _terms() -> Terms:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return Terms(stop_words=ENGLISH_STOP_WORDS)


def _p_value(values: NDArray[np.float64], base: NDArray[np.float64]) -> float:
    """Return the two-sided p of the difference, by 10,000 random signs."""
    gaps = values - base
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (10_000, len(gaps)))
    return round(float((np.abs(signs @ gaps) >= abs(gaps.sum()) - 1e-9).mean()), 4)


def hybrids(data: Collection, words: Any, leg: Any) -> dict[str, float]:
    """Return nDCG@10 beside other legs, min-max scores."""
    index, queries = leg
    dual = vl.learn.DualEncoder(**SEEDED).fit(data.texts, titles=data.titles)
    vectors = vl.index.Exact(metric="ip", n_jobs=1).fit(dual.vectors_)
    asked = {"sparse": queries, "dual": dual.transform(data.queries), "words": data.queries}
    legs = {"sparse": index, "dual": vectors, "words": words}
    found = {}
    for left, right, share in (
        ("words", "sparse", 0.5),
        ("sparse", "dual", 0.7),
        ("words", "dual", 0.6),
    ):
        both = vl.index.Hybrid(
            {left: legs[left], right: legs[right]},
            "weighted",
            weights={left: share, right: 1 - share},
        )
        hits = both.search({left: asked[left], right: asked[right]}, k=10)
        found[f"{share:g} {left} + {1 - share:g} {right}"] = round(
            float(data.values(hits).mean()), 4
        )
    return found


def taught(data: Collection, words: Any, base: NDArray[np.float64]) -> dict[str, Any]:
    """Learn from the answers of training queries, and from a teacher's scores of them."""
    ids, queries, pairs = data.pairs()
    unseen = data.unseen(pairs)
    plain = vl.learn.ExpansionEncoder(**SEEDED)
    rows: dict[str, Any] = {"queries": len(ids), "pairs": len(pairs)}
    rows["unseen_test_queries"] = int(unseen.sum())
    rows["BM25"] = {"ndcg_10": round(float(base.mean()), 4)} | _apart(base, unseen)
    epochs = max(1, min(MOST_EPOCHS, MOST_PAIRS // len(pairs)))
    ways: dict[str, tuple[Any, Any]] = {
        "texts alone": (plain, lambda m: m.fit(data.texts, titles=data.titles)),
        "answers": (
            vl.learn.ExpansionEncoder(**SEEDED, epochs=epochs),
            lambda m: m.fit(data.texts, titles=data.titles, queries=queries, pairs=pairs),
        ),
    }
    teacher = teacher_scores(data, words, ids, queries)
    if teacher is not None:
        scored, scores, test = teacher
        rows["teacher"] = {"ndcg_10": round(float(test.mean()), 4)} | _apart(test, unseen)
        ways["teacher's scores"] = (
            vl.learn.ExpansionEncoder(**SEEDED, **DISTILLED),
            lambda m: m.fit(
                data.texts, titles=data.titles, queries=queries, pairs=scored, scores=scores
            ),
        )
    for label, (model, learn) in ways.items():
        row, _ = measured(model, data, learn)
        values = row.pop("values")
        rows[label] = row | _apart(values, unseen)
        print(data.name, label, rows[label], flush=True)
    return rows


def _apart(values: NDArray[np.float64], unseen: NDArray[np.bool_]) -> dict[str, float]:
    return {"ndcg_10_unseen": round(float(values[unseen].mean()), 4) if unseen.any() else 0.0}


def teacher_scores(data: Collection, words: Any, ids: list[str], queries: list[str]) -> Any:
    """Return pairs and scores of BM25 and MiniLM for training queries, and their test values."""
    path = data.data / "vectors" / f"minilm-{data.name}" / "vectors.npz"
    if not path.exists():
        return None
    file = np.load(path)
    place = {str(name): i for i, name in enumerate(file["query_ids"])}
    if not all(name in place for name in (*ids, *data.ids)):
        return None
    order = {str(name): i for i, name in enumerate(file["corpus_ids"])}
    rows = file["corpus"].astype(np.float32)[[order[name] for name in data.names]]
    dense = vl.index.Exact(metric="ip", n_jobs=1).fit(rows)
    both = vl.index.Hybrid(
        {"words": words, "dense": dense}, "weighted", weights={"words": 0.5, "dense": 0.5}
    )

    def ask(names: list[str], texts: list[str], k: int) -> Any:
        vectors = file["queries"].astype(np.float32)[[place[name] for name in names]]
        return both.search({"words": texts, "dense": vectors}, k=k)

    hits = ask(ids, queries, TEACHER_DEPTH)
    pairs = [
        (i, int(text), float(score))
        for i, (texts, scores) in enumerate(zip(hits.ids, hits.scores, strict=True))
        for text, score in zip(texts, scores, strict=True)
        if text is not None and text >= 0
    ]
    found = np.array([pair[:2] for pair in pairs], dtype=np.int64)
    scores = np.array([pair[2] for pair in pairs], dtype=np.float32)
    return found, scores, data.values(ask(data.ids, data.queries, 10))


def table() -> str:
    """Return what there is as Markdown."""
    found = ["# The expansion encoder beside BM25", ""]
    head = ["collection", "", "nDCG@10", "p", "terms a text", "µs a query", "fit, CPU s"]
    found += ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    results = {
        name: json.loads((RESULTS / "expansion" / f"{name}.json").read_text(encoding="utf-8"))
        for name in COLLECTIONS
        if (RESULTS / "expansion" / f"{name}.json").exists()
    }
    for name, result in results.items():
        base = result["bm25"]
        found.append(f"| {name} | BM25 | {base['ndcg_10']:.3f} | | | {base['us_a_query']:.0f} | |")
        for label, row in result["curve"].items():
            found.append(
                f"| {name} | {label} | {row['ndcg_10']:.3f} | {row['better_than_bm25']:.4f} | "
                f"{row['terms_a_text']:.0f} | {row['us_a_query']:.0f} | {row['fit_cpu_s']:.1f} |"
            )
    found += ["", "## As a leg of a hybrid", "", "| collection | legs | nDCG@10 |"]
    found.append("| --- | --- | --- |")
    for name, result in results.items():
        found += [f"| {name} | {legs} | {value:.3f} |" for legs, value in result["hybrids"].items()]
    found += ["", "## Taught", "", "| collection | by | nDCG@10 | queries with unseen answers |"]
    found.append("| --- | --- | --- | --- |")
    for name, result in results.items():
        for label, row in result.get("taught", {}).items():
            if isinstance(row, dict):
                apart = f"{row['ndcg_10_unseen']:.3f}" if row["ndcg_10_unseen"] else "-"
                values = f"{row['ndcg_10']:.3f} | {apart}"
                found.append(f"| {name} | {label} | {values} |")
    return "\n".join(found) + "\n"


def main(names: list[str]) -> None:
    """Run these collections, all by default, each in a process of its own."""
    if names[:1] == ["--table"]:
        (RESULTS / "expansion.md").write_text(table(), encoding="utf-8")
        return
    if names[:1] == ["--one"]:
        run_one(names[1])
        return
    forced = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for name in names or COLLECTIONS:
        command = [sys.executable, "-m", "benchmarks.learn_expansion", "--one", name]
        subprocess.run(command, check=False, env=forced)
        (RESULTS / "expansion.md").write_text(table(), encoding="utf-8")
    print(table())


if __name__ == "__main__":
    main(sys.argv[1:])
