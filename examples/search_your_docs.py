# SPDX-License-Identifier: Apache-2.0
"""Search the text files of a folder by meaning, with vectors learned from those files alone.

python examples/search_your_docs.py                      # this checkout's own documentation
python examples/search_your_docs.py FOLDER "a question"  # yours
"""

from __future__ import annotations

import sys
from pathlib import Path

import vectorloom as vl

folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1])
question = sys.argv[2] if len(sys.argv) > 2 else "how are files saved without pickle?"

# 1. Gather: one passage a paragraph, named after its file and place.
passages: dict[str, str] = {}
for path in sorted(folder.rglob("*.md")) + sorted(folder.rglob("*.txt")):
    if any(part.startswith(".") for part in path.relative_to(folder).parts):
        continue
    paragraphs = path.read_text(encoding="utf-8", errors="replace").split("\n\n")
    for number, paragraph in enumerate(paragraphs, start=1):
        if len(paragraph) > 80:
            passages[f"{path.relative_to(folder)} ¶{number}"] = paragraph
if not passages:
    sys.exit(f"no .md or .txt files with paragraphs in {folder}")

# 2. Learn vectors of the passages. A pretrained model would be one line:
#    vectors = vl.encode(passages.values(), model="path/to/a/sentence-transformers/model")
model = vl.learn.LatentSemantic().fit(passages.values(), ids=list(passages))

# 3. Index them. A passage without a known term has a zero vector, which has no direction.
known = model.vectors_.any(axis=1)
index = vl.index.Exact(metric="cosine").fit(model.vectors_[known], ids=model.ids_[known])

# 4. Ask.
vector = model.transform([question])
print(f"{len(index):,} passages. {question}\n")
if not vector.any():
    sys.exit("No word of the question occurs in the passages.")
for name, score in zip(*index.search(vector, k=3)[0], strict=True):
    print(f"{score:.2f}  {name}\n      {' '.join(passages[name].split())[:150]}\n")
