# SPDX-License-Identifier: Apache-2.0
"""Keep a folder of text files searchable: a second run encodes only what changed since the first.

python examples/folder_search.py                           # this checkout's own documentation
python examples/folder_search.py FOLDER "a question"       # yours
python examples/folder_search.py FOLDER "a question" STORE # and where the collection is kept
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

import vectorloom as vl

folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]).resolve()
question = sys.argv[2] if len(sys.argv) > 2 else "what survives when the writer is killed?"
name = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
usual = Path(tempfile.gettempdir()) / f"vectorloom-folder-{name}"
store = Path(sys.argv[3]) if len(sys.argv) > 3 else usual

# 1. Gather: one passage a paragraph, with the file's fingerprint, which tells whether it changed.
files: dict[str, tuple[str, list[str]]] = {}
for path in sorted(folder.rglob("*.md")) + sorted(folder.rglob("*.txt")):
    if any(part.startswith(".") for part in path.relative_to(folder).parts):
        continue
    text = path.read_text(encoding="utf-8", errors="replace")
    passages = [p for p in text.split("\n\n") if len(p) > 80]
    print_of_file = hashlib.sha256(text.encode()).hexdigest()[:16]
    files[str(path.relative_to(folder))] = (print_of_file, passages)
if not any(passages for _, passages in files.values()):
    sys.exit(f"no .md or .txt files with paragraphs in {folder}")

# 2. The encoder: learned from the folder once and kept, so that old and new vectors agree. A
#    pretrained model does as well: anything with encode(list_of_texts) and a name.
store.mkdir(parents=True, exist_ok=True)
saved = store / "encoder.vl"
if not saved.exists():
    vl.learn.LatentSemantic().fit([p for _, own in files.values() for p in own]).save(saved)
model = vl.open(saved)
dim = model.transform(["one"]).shape[1]
encoder = vl.store.Encoder(model.transform, name="latent-semantic", revision=name)

# 3. Store what is new, remove what is gone. Each file is one commit: stop it anywhere.
with vl.collection(store / "passages", dim, index=["file", "print"], encoder=encoder) as c:
    known: dict[str, str] = {}
    for page in c.scroll():
        known |= {p["file"]: p["print"] for p in page.payloads if p is not None}
    changed = [f for f, (mark, own) in files.items() if own and known.get(f) != mark]
    for file in [*changed, *(set(known) - set(files))]:
        c.delete(where={"file": file})
    for file in changed:
        mark, passages = files[file]
        # A passage without a known term has a zero vector, which has no direction.
        vectors = model.transform(passages) if passages else []
        kept = [i for i, vector in enumerate(vectors) if vector.any()]
        if kept:
            c.upsert(
                [f"{file} ¶{i + 1}" for i in kept],
                vectors[kept],
                payloads=[{"file": file, "print": mark} for _ in kept],
                texts=[passages[i] for i in kept],
            )
    print(f"{len(c):,} passages in {store}; {len(changed)} of {len(files)} files were encoded.")

    # 4. Ask; a filter narrows it down.
    print(f"\n{question}\n")
    if not model.transform([question]).any():
        sys.exit("No word of the question occurs in the passages.")
    for where in (None, {"file": {"$contains": "guides"}}):
        hits = c.search(question, k=3, where=where)[0]
        for id_, score, text in zip(hits.ids, hits.scores, hits.texts, strict=True):
            print(f"{score:.2f}  {id_}\n      {' '.join((text or '').split())[:150]}\n")
        if where is None:
            print("Of the guides alone:\n")
