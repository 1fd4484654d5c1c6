# SPDX-License-Identifier: Apache-2.0
"""Vectors of each layer of a sentence-transformers model, for the collections of `make_tokens`.

``python -m benchmarks.multivector.make_layers MODEL OUT SET...`` encodes the documents and queries
whose ids and texts ``make_tokens`` wrote to ``OUT/SET`` and writes beside them:

    docs_layers.npy     float16 (n, n_layers + 1, dim): the mean of the item's tokens behind each
                        layer, the embeddings first; unit length

and the same for queries. Texts are cut at 180 tokens. Needs torch and sentence-transformers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.multivector.make_tokens import BATCH, MOST_TOKENS


def layers_of(model: Any, texts: list[str]) -> NDArray[np.float16]:
    """Return the mean token of each layer of each text, of unit length."""
    import torch

    encoder, tokenizer = model[0].auto_model, model.tokenizer
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    out: NDArray[np.float16] | None = None
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        batch = tokenizer(
            [texts[i] for i in part],
            padding=True,
            truncation=True,
            max_length=MOST_TOKENS,
            return_tensors="pt",
        )
        with torch.no_grad():
            states = torch.stack(encoder(**batch, output_hidden_states=True).hidden_states, dim=1)
        kept = batch["attention_mask"][:, None, :, None]
        means = (states.float() * kept).sum(dim=2)
        means = torch.nn.functional.normalize(means, dim=2).numpy().astype(np.float16)
        if out is None:
            out = np.empty((len(texts), *means.shape[1:]), np.float16)
        out[part] = means
    assert out is not None
    return out


def main(arguments: list[str]) -> None:
    """Encode the sets that the arguments name."""
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(arguments[0], device="cpu").to(torch.bfloat16)
    for name in arguments[2:]:
        folder = Path(arguments[1]) / name
        for side in ("queries", "docs"):
            texts = json.loads((folder / f"{side}.json").read_text())["texts"]
            layers = layers_of(model, texts)
            np.save(folder / f"{side}_layers.npy", layers)
            print(f"{name} {side}: {layers.shape}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1:])
