# SPDX-License-Identifier: Apache-2.0
"""Senses of made-up words: pairs of words written as one, told apart by their contexts.

``python -m benchmarks.learn_senses [NAME …]`` reads the first 900,000 words of the English
Wikipedia core below ``$VECTORLOOM_DATA``, keeps the 3,000 most frequent, and writes twenty pairs of
words that occur 150 to 600 times as one word each. So the right sense of every place is known. A
method says one of two senses for each; adjusted Rand, V-measure and purity are means of the twenty.
Writes ``results/learn/senses.{json,md}``. One thread; CPU seconds are of learning and of telling.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.learn_words import sentences
from benchmarks.machine import describe
from vectorloom.learn import SenseSkipGram, Word2Vec

RESULTS = Path(__file__).parent / "results" / "learn"
WORDS, VOCABULARY, PAIRS, REACH = 900_000, 3_000, 20, 5
SETTINGS = {"min_count": 1, "epochs": 3, "random_state": 0}
Senses = dict[str, NDArray[np.int64]]


@dataclass
class Task:
    """Texts with made-up words, and of each the places and what was written there."""

    texts: list[list[str]]
    places: dict[str, list[tuple[int, int]]]
    truth: dict[str, list[int]]

    def context(self, place: tuple[int, int], reach: int = REACH) -> list[str]:
        """Return the words around a place."""
        text, at = self.texts[place[0]], place[1]
        return text[max(0, at - reach) : at] + text[at + 1 : at + 1 + reach]


def make_task(folder: Path) -> Task:
    """Merge pairs of words drawn at random."""
    texts, n = [], 0
    for line in sentences(folder):
        texts.append(line)
        n += len(line)
        if n >= WORDS:
            break
    counts = Counter(word for line in texts for word in line)
    known = {word for word, _ in counts.most_common(VOCABULARY)}
    texts = [[word for word in line if word in known] for line in texts]
    medium = sorted(word for word in known if 150 <= counts[word] <= 600)
    drawn = np.random.default_rng(0).permutation(len(medium))[: 2 * PAIRS].reshape(-1, 2)
    written = {}
    for left, right in drawn.tolist():
        name = f"{medium[left]}_{medium[right]}"
        written[medium[left]], written[medium[right]] = (name, 0), (name, 1)
    task = Task([], {}, {})
    for number, line in enumerate(texts):
        for place, word in enumerate(line):
            if word in written:
                name, sense = written[word]
                task.places.setdefault(name, []).append((number, place))
                task.truth.setdefault(name, []).append(sense)
        task.texts.append([written[word][0] if word in written else word for word in line])
    return task


def one_sense(task: Task) -> Senses:
    """Say nothing."""
    return {name: np.zeros(len(places), np.int64) for name, places in task.places.items()}


def skip_gram(**settings: Any) -> Callable[[Task], Senses]:
    """Disambiguated skip-gram."""

    def tell(task: Task) -> Senses:
        given: dict[str, Any] = {"n_senses": 2, "min_share": 0.0, **SETTINGS, **settings}
        model = SenseSkipGram(50, **given).fit(task.texts)
        return {
            name: np.array([model.disambiguate(name, task.context(at)).argmax() for at in places])
            for name, places in task.places.items()
        }

    return tell


def clusters(task: Task) -> Senses:
    """k-means of the contexts' mean vectors at length 1, words weighted by their rarity."""
    from sklearn.cluster import KMeans

    words = Word2Vec(50, n_jobs=1, **{**SETTINGS, "epochs": 10}).fit(task.texts)
    weights = 1e-3 / (1e-3 + words.counts_ / words.counts_.sum())
    rows = (words.vectors_ - words.vectors_.mean(axis=0)) * weights[:, None]
    place_of = {word: place for place, word in enumerate(words.ids_.tolist())}
    found = {}
    for name, places in task.places.items():
        around = [[place_of[word] for word in task.context(at) if word != name] for at in places]
        means = np.array([rows[near].mean(axis=0) if near else rows[0] * 0 for near in around])
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        found[name] = KMeans(2, n_init=10, random_state=0).fit_predict(means)
    return found


METHODS: dict[str, Callable[[Task], Senses]] = {
    "one sense for all": one_sense,
    "SenseSkipGram": skip_gram(),
    "SenseSkipGram, the rule as it begins": skip_gram(epochs=1, alpha=1e-9),
    "k-means of contexts": clusters,
}


def judged(found: Senses, task: Task) -> dict[str, float]:
    """Return the means over all made-up words."""
    from sklearn.metrics import adjusted_rand_score, v_measure_score

    rows = []
    for name, truth in task.truth.items():
        table = np.zeros((2, int(found[name].max()) + 1))
        np.add.at(table, (truth, found[name]), 1)
        rand, measure = adjusted_rand_score(truth, found[name]), v_measure_score(truth, found[name])
        rows.append((rand, measure, table.max(axis=0).sum() / len(truth)))
    means = np.mean(rows, axis=0).round(4).tolist()
    return dict(zip(("adjusted Rand", "V-measure", "purity"), means, strict=True))


def page(rows: dict[str, dict[str, float]]) -> str:
    """Return the rows as Markdown."""
    names = ("adjusted Rand", "V-measure", "purity")
    found = ["# Senses of made-up words", "", "| method | " + " | ".join(names) + " | CPU s |"]
    found += ["| --- " * 5 + "|"]
    for method, row in rows.items():
        cells = " | ".join(f"{row[name]:.3f}" for name in names)
        found.append(f"| {method} | {cells} | {row['cpu_s']:.0f} |")
    return "\n".join(found) + "\n"


def main(names: list[str]) -> None:
    """Run the methods of these names, all by default."""
    task = make_task(Path(os.environ["VECTORLOOM_DATA"]))
    target = RESULTS / "senses.json"
    rows = json.loads(target.read_text())["rows"] if target.exists() else {}
    for name in names or METHODS:
        began = time.process_time()
        found = METHODS[name](task)
        rows[name] = {**judged(found, task), "cpu_s": round(time.process_time() - began, 1)}
        print(name, rows[name], flush=True)
    rows = {name: rows[name] for name in METHODS if name in rows}
    kept = {"machine": describe(), "rows": rows}
    target.write_text(json.dumps(kept, indent=1) + "\n")
    (RESULTS / "senses.md").write_text(page(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
