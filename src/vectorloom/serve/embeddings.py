# SPDX-License-Identifier: Apache-2.0
"""Vectors of texts under the paths, names and forms of OpenAI's interface, by mounted models."""

from __future__ import annotations

import base64
from typing import Any

from vectorloom.errors import ParameterError
from vectorloom.serve import answers
from vectorloom.serve.calls import NPY, Call
from vectorloom.serve.schemas import MAX_DIM, MAX_INPUTS
from vectorloom.serve.taking import texts, whole, word


def embeddings(call: Call) -> Any:
    """Return the vectors of texts."""
    body = call.body
    name = word(body, "model") or ""
    model = call.service.models.get(name)
    given = body["input"]
    if isinstance(given, list) and any(isinstance(each, int | list) for each in given):
        raise ParameterError("input has token numbers; the models here take text.")
    inputs = [given] if isinstance(given, str) else texts(body, "input", MAX_INPUTS)
    if not inputs or not all(inputs):
        raise ParameterError("input must be a text that is not empty, or a list of such.")
    form = body.get("encoding_format", "float")
    if form not in ("float", "base64"):
        raise ParameterError(f"encoding_format must be 'float' or 'base64'; got {form!r:.40}.")
    word(body, "user")
    dimensions = None
    if body.get("dimensions") is not None:
        dimensions = whole(body, "dimensions", 1, MAX_DIM)
    call.notes.update(model=name, texts=len(inputs))
    vectors = model.cut(inputs, dimensions)
    if call.accept == NPY:
        return answers.npy(vectors)
    rows: Any = vectors.tolist()
    if form == "base64":
        rows = [base64.b64encode(row.tobytes()).decode() for row in vectors.astype("<f4")]
    used = model.tokens(inputs)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)
        ],
        "model": name,
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }


def models(call: Call) -> Any:
    """Return the names of the mounted models."""
    listed = [
        {"id": name, "object": "model", "created": 0, "owned_by": "vectorloom"}
        for name in call.service.models.names()
    ]
    return {"object": "list", "data": listed}
