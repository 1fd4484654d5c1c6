# SPDX-License-Identifier: Apache-2.0
"""Token vectors of BEIR-like collections, from a sentence-transformers model.

``python -m benchmarks.multivector.make_tokens MODEL OUT SET...`` encodes the documents and the
judged test queries of ``$VECTORLOOM_DATA/text/ir/SET`` with the model in the folder MODEL (the
tables were made with all-MiniLM-L6-v2) and writes ``OUT/SET/``:

    docs_values.npy    float16 (tokens, dim), unit length, one row a token, [CLS] and [SEP] kept
    docs_offsets.npy   int64 (n + 1,)
    docs_dense.npy     float32 (n, dim), unit length: the mean of an item's tokens
    docs.json          {"ids", "texts"}

and the same for queries, and for training queries where there are any. Texts are cut at 180
tokens. Needs torch and sentence-transformers; about 0.6 ms a document of 180 tokens and thread.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from vectorloom.io.beir import read_beir, splits

MOST_TOKENS = 180
BATCH = 64


def encode(model: Any, texts: list[str]) -> tuple[Any, Any, Any]:
    """Return token values, offsets and mean vectors of texts."""
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    tokens: list[Any] = [None] * len(texts)
    dense: list[Any] = [None] * len(texts)
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        encoded = model.encode(
            [texts[i] for i in part],
            batch_size=BATCH,
            output_value="token_embeddings",
            show_progress_bar=False,
        )
        for i, vectors in zip(part, encoded, strict=True):
            rows = vectors.float().numpy()
            mean = rows.mean(axis=0)
            dense[i] = mean / np.linalg.norm(mean)
            tokens[i] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    offsets = np.cumsum([0] + [len(rows) for rows in tokens])
    return np.concatenate(tokens), offsets.astype(np.int64), np.stack(dense).astype(np.float32)


def main(arguments: list[str]) -> None:
    """Encode the sets that the arguments name."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(arguments[0], device="cpu")
    model.max_seq_length = MOST_TOKENS
    for name in arguments[2:]:
        out = Path(arguments[1]) / name
        out.mkdir(parents=True, exist_ok=True)
        folder = Path(os.environ["VECTORLOOM_DATA"]) / "text" / "ir" / name
        data = read_beir(folder)
        judged = [i for i, query in enumerate(data.queries.ids) if query in data.qrels]
        sides = {
            "docs": (data.corpus.ids.tolist(), data.corpus.full_texts()),
            "queries": (
                [data.queries.ids[i] for i in judged],
                [data.queries.texts[i] for i in judged],
            ),
        }
        if "train" in splits(folder):
            train = read_beir(folder, split="train").queries
            sides["train_queries"] = (list(train.ids), list(train.texts))
        for side, (ids, texts) in sides.items():
            values, offsets, dense = encode(model, [text.strip() or "." for text in texts])
            np.save(out / f"{side}_values.npy", values)
            np.save(out / f"{side}_offsets.npy", offsets)
            np.save(out / f"{side}_dense.npy", dense)
            (out / f"{side}.json").write_text(json.dumps({"ids": ids, "texts": texts}))
            print(f"{name} {side}: {len(texts)} texts, {offsets[-1]} vectors")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1:])
