# SPDX-License-Identifier: Apache-2.0
"""Every word learner before and after retrofitting to a lexicon.

``python -m benchmarks.learn_retrofit [WORDS]`` learns each method from the first 2,000,000 (WORDS)
words of the English Wikipedia core below ``$VECTORLOOM_DATA``, 100 dimensions, one thread, and
asks MEN, SimLex-999 and the Stanford rare words: as learned, and retrofitted to PPDB-XL and to the
Open English WordNet's synonyms, hypernyms and hyponyms. Writes ``results/learn/retrofit.{json,md}``
after each method.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import vectorloom as vl
from benchmarks.learn_words import Sentences, sentences
from benchmarks.machine import describe
from vectorloom.measure import read_word_pairs, word_similarity

RESULTS = Path(__file__).parent / "results" / "learn"
SETS = {"MEN": "MEN-TR-3k", "SimLex-999": "SIMLEX-999", "RW": "RW-STANFORD"}
LEXICONS = {"PPDB-XL": "ppdb-xl", "WordNet": "oewn-synonyms+hyper+hypo"}
METHODS: dict[str, dict[str, Any]] = {
    "Word2Vec": {"random_state": 1},
    "Word2Vec CBOW": {"sg": 0, "random_state": 1},
    "PMISVD": {},
    "BitCipher": {"vector_size": 300},
    "FastText": {"random_state": 1},
    "GloVe": {"epochs": 15},
    "Swivel": {"epochs": 3},
}


def asked(vectors: Any, folder: Path) -> dict[str, float]:
    """Return Spearman on each set."""
    found = {}
    for name, file in SETS.items():
        pairs = read_word_pairs(folder / "similarity" / f"EN-{file}.tsv")
        value = word_similarity(list(vectors.index_to_key), vectors.vectors_, pairs).value
        found[name] = round(float(value), 4)
    return found


def measured(name: str, text: Any, folder: Path) -> dict[str, dict[str, float]]:
    """Learn one method and ask it before and after."""
    settings = {"vector_size": 100, "n_jobs": 1, **METHODS[name]}
    model = getattr(vl.learn, name.split()[0])(**settings).fit(text)
    rows = {"": asked(model, folder)}
    for lexicon, file in LEXICONS.items():
        path = folder / "lexicons" / f"{file}.txt.xz"
        rows[lexicon] = asked(vl.learn.retrofit(model, path), folder)
    return rows


def page(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return all rows as Markdown."""
    lines = ["# Word learners before and after retrofitting", ""]
    lines += ["| method | lexicon | " + " | ".join(SETS) + " |", "| --- " * 5 + "|"]
    for name, rows in found.items():
        for lexicon, row in rows.items():
            cells = " | ".join(f"{row[key]:.3f}" for key in SETS)
            lines.append(f"| {name} | {lexicon or 'none'} | {cells} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Measure all methods."""
    n = int(arguments[0]) if arguments else 2_000_000
    folder = Path(os.environ["VECTORLOOM_DATA"])
    texts: Sentences = []
    seen = 0
    for line in sentences(folder):
        texts.append(line)
        seen += len(line)
        if seen >= n:
            break
    text = vl.learn.Corpus(texts).encode(min_count=5, quiet=True)
    found = {}
    for name in METHODS:
        found[name] = measured(name, text, folder / "text" / "words")
        print(name, found[name], flush=True)
        kept = {"machine": describe(), "words": seen, "rows": found}
        (RESULTS / "retrofit.json").write_text(json.dumps(kept, indent=1) + "\n")
        (RESULTS / "retrofit.md").write_text(page(found))


if __name__ == "__main__":
    main(sys.argv[1:])
