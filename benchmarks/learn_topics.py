# SPDX-License-Identifier: Apache-2.0
"""Topic models on labelled texts: coherence, agreement with the labels, CPU time.

``python -m benchmarks.learn_topics`` reads ``text/classification`` below ``$VECTORLOOM_DATA`` and
writes ``results/learn/topics.json`` and ``topics.md``. All models get the same words (no stop
words, in at least one text of 500); the peers, which must be told a number of topics, get the one
that `Top2Vec` found. Coherence is the mean NPMI of each topic's first ten words over the training
texts. A text counts for its likeliest topic. Time is CPU time on one thread, counting included.
"""

from __future__ import annotations

import json
import lzma
import os
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import vectorloom as vl
from benchmarks.machine import describe
from vectorloom.learn.topics.topic_words import coherence, count_words

RESULTS = Path(__file__).parent / "results" / "learn"
SETS = {"20 Newsgroups": "20ng.train.tsv.xz", "AG News": "agnews.test.tsv.xz"}
# Our models that are told a number of topics.
OTHERS = ("Lda2Vec", "DocNADE")
N_WORDS = 10
Answer = tuple[list[list[str]], NDArray[Any]]


def labelled(path: Path) -> tuple[list[str], NDArray[Any]]:
    """Read texts and their classes; empty texts are left out."""
    texts, classes = [], []
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            fields = line.rstrip("\n").split("\t")
            start = 2 if path.name.startswith("20ng") else 1
            text = " ".join(fields[start:])
            if text.strip():
                texts.append(text)
                classes.append(fields[0])
    return texts, np.array(classes)


def first_words(weights: NDArray[Any], words: list[str]) -> list[list[str]]:
    """Return the heaviest words of each row."""
    return [[words[place] for place in np.argsort(-row)[:N_WORDS]] for row in weights]


def ours(name: str, texts: list[str], k: int | None) -> Answer:
    """One of our models."""
    model = getattr(vl.learn, name)()
    given = {"n_topics": k, "n_jobs": 1}
    known = model.get_params()
    model.set_params(**{key: value for key, value in given.items() if value and key in known})
    model.fit(texts)
    return [record["words"] for record in model.topics(N_WORDS)], model.labels_


def nmf(texts: list[str], k: int) -> Answer:
    """scikit-learn's factorization of TF-IDF."""
    from sklearn.decomposition import NMF
    from sklearn.feature_extraction.text import TfidfTransformer

    counts, words = count_words(texts, "english", "auto")
    weights = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
    model = NMF(k, init="nndsvd", random_state=0)
    shares = model.fit_transform(weights)
    return first_words(model.components_, words), shares.argmax(axis=1)


def lda(texts: list[str], k: int) -> Answer:
    """gensim's latent Dirichlet allocation, ten passes, priors learned."""
    from gensim.matutils import Sparse2Corpus, corpus2dense
    from gensim.models import LdaModel

    counts, words = count_words(texts, "english", "auto")
    corpus = Sparse2Corpus(counts.T)
    model = LdaModel(corpus, k, passes=10, alpha="auto", eta="auto", random_state=0)
    shares = corpus2dense((model.get_document_topics(text, 0.0) for text in corpus), k)
    return first_words(model.get_topics(), words), shares.argmax(axis=0)


def row(name: str, texts: list[str], classes: NDArray[Any], learn: Callable[[], Answer]) -> Any:
    """Train and judge one model."""
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    began = time.process_time()
    topics, labels = learn()
    seconds = time.process_time() - began
    known = labels >= 0
    return {
        "name": name,
        "cpu_s": round(seconds, 1),
        "topics": len(topics),
        "coherence": round(float(coherence(topics, texts).mean()), 3),
        "different_words": round(len(set(chain(*topics))) / sum(map(len, topics)), 3),
        "nmi": round(float(normalized_mutual_info_score(classes[known], labels[known])), 3),
        "ari": round(float(adjusted_rand_score(classes[known], labels[known])), 3),
    }


def main() -> None:
    """Run all models on all sets."""
    folder = Path(os.environ["VECTORLOOM_DATA"]) / "text" / "classification"
    found: dict[str, Any] = {"machine": describe(), "gensim": version("gensim"), "sets": {}}
    lines = ["# Topics beside scikit-learn and gensim", ""]
    lines += ["| texts | model | topics | CPU s | coherence | NMI | ARI |", "| --- " * 7 + "|"]
    for title, file in SETS.items():
        texts, classes = labelled(folder / file)
        rows = [row("Top2Vec", texts, classes, partial(ours, "Top2Vec", texts, None))]
        k = rows[0]["topics"]
        for name in OTHERS:
            rows.append(row(name, texts, classes, partial(ours, name, texts, k)))
        rows.append(row("NMF (scikit-learn)", texts, classes, partial(nmf, texts, k)))
        rows.append(row("LDA (gensim)", texts, classes, partial(lda, texts, k)))
        found["sets"][title] = {"texts": len(texts), "models": rows}
        for cells in rows:
            shown = ("name", "topics", "cpu_s", "coherence", "nmi", "ari")
            lines.append(
                f"| {title} | " + " | ".join(str(cells[column]) for column in shown) + " |"
            )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "topics.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    (RESULTS / "topics.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
