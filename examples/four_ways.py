# SPDX-License-Identifier: Apache-2.0
"""One corpus, searched four ways: by words, by meaning, word by word, and all of them together.

python examples/four_ways.py           # 2,000 passages of Python's documentation, 200 questions
python examples/four_ways.py 500 50    # fewer

The question is the first sentence of a docstring, the answer the rest of it. Vectors are learned
from these passages alone (latent semantic analysis): the passage's own is its dense vector, those
of its words are its token vectors. A real encoder's vectors go in the same way and find more.
"""

from __future__ import annotations

import re
import sys

import numpy as np

import vectorloom as vl
from vectorloom.demo.passages import gather
from vectorloom.demo.questions import known_items

n_passages = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
n_questions = int(sys.argv[2]) if len(sys.argv) > 2 else 200

# 1. Passages and questions with one right answer each.
items = known_items(gather(max_passages=n_passages).passages, n_queries=n_questions)
print(f"{len(items.corpus):,} passages, {len(items.queries)} questions\n")

# 2. Vectors: one a passage, and one a word of it. A word of a question counts by how rare it is.
model = vl.learn.LatentSemantic().fit(items.corpus)
words = model.terms_.tolist()
vectors = model.transform(words)
lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
vectors = vectors / np.where(lengths > 0, lengths, 1)
number = {word: i for i, word in enumerate(words) if lengths[i] > 0}


def token_vectors(text: str, weights: np.ndarray | None = None) -> np.ndarray | None:
    """One vector for each known word of a text; None where there is none."""
    found = [number[w] for w in re.findall(r"\w+", text.lower()) if w in number]
    if not found:
        return None
    return vectors[found] if weights is None else vectors[found] * weights[found, None]


tokens = [token_vectors(text) for text in items.corpus]
known = [i for i, matrix in enumerate(tokens) if matrix is not None]  # the others have no vectors

# 3. Three indexes of the same passages under the same ids, and one over all of them.
legs = {
    "words": vl.index.BM25().fit(items.corpus, ids=range(len(items.corpus))),
    "meaning": vl.index.Exact(metric="cosine").fit(model.vectors_[known], ids=known),
    "word by word": vl.index.MultiVector(metric="ip").fit([tokens[i] for i in known], ids=known),
}
hybrid = vl.index.Hybrid(legs, fusion="weighted")

# 4. Ask: every leg gets the question in its own form; one without known words has only the words.
dense = model.transform(items.queries)
asked = {
    "words": items.queries,
    "meaning": [vector if vector.any() else None for vector in dense],
    "word by word": [token_vectors(text, model.idf_) for text in items.queries],
}

# Every other question says how much each leg is worth; the rest are asked.
answer = items.targets.tolist()
learn, ask = range(0, len(answer), 2), range(1, len(answer), 2)
some = {name: [queries[q] for q in learn] for name, queries in asked.items()}
hybrid.fit_weights(some, {str(i): {str(answer[q]): 1} for i, q in enumerate(learn)})
print("weights:", {name: round(weight, 2) for name, weight in hybrid.weights.items()}, "\n")

asked = {name: [queries[q] for q in ask] for name, queries in asked.items()}
answers = {
    name: vl.index.Hybrid({name: leg}).search({name: asked[name]}, k=10)
    for name, leg in legs.items()
}
answers["together"] = hybrid.search(asked, k=10)
targets = items.targets[1::2]
texts = items.queries[1::2]

# 5. Who found the answer first?
ranks = {}
for name, hits in answers.items():
    at = hits.ids == targets[:, None]
    ranks[name] = np.where(at.any(axis=1), at.argmax(axis=1) + 1, 99)
for q in range(min(12, len(texts))):
    best = min(ranks[name][q] for name in ranks)
    winners = [name for name in ranks if ranks[name][q] == best] if best < 99 else ["nobody"]
    places = " ".join(f"{name} {r[q] if r[q] < 99 else '-'}" for name, r in ranks.items())
    print(f"{texts[q][:60]:60}  first: {', '.join(winners)}   ({places})")

print("\nway            MRR@10   best or level on")
level = np.min(list(ranks.values()), axis=0)
for name, r in ranks.items():
    reciprocal = np.where(r < 99, 1 / r, 0).mean()
    print(f"{name:14} {reciprocal:.3f}    {int(((r == level) & (r < 99)).sum())} questions")
