# SPDX-License-Identifier: Apache-2.0
"""Vectors of texts for a topic model, from whatever makes them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.io.container import Container
from vectorloom.vectors import as_dense


class Embedder:
    """A fitted learner or an encoder, asked in one way."""

    def __init__(self, source: Any) -> None:
        self.source = source

    def vectors(self, texts: list[str]) -> NDArray[np.float32]:
        """Return one vector a text."""
        if hasattr(self.source, "transform"):
            return as_dense(self.source.transform(texts))
        from vectorloom.learn.encode import encode

        return encode(texts, self.source)


def embed(
    learner: Any, texts: list[str], n_jobs: int | None
) -> tuple[Embedder, NDArray[np.float32]]:
    """Return what makes vectors, fitted, and the vectors of the texts.

    Parameters
    ----------
    learner : object or None
        See `Top2Vec`.
    texts : list of str
    n_jobs : int or None
        Of the default learner.

    Returns
    -------
    Embedder
    ndarray of shape (n, dim), float32
    """
    if learner is None:
        from vectorloom.learn.latent_semantic import LatentSemantic

        learner = LatentSemantic(n_jobs=n_jobs)
    if hasattr(learner, "fit") and hasattr(learner, "transform"):
        fitted = type(learner)(**learner.get_params(deep=False)).fit(texts)
        rows = fitted.vectors_ if hasattr(fitted, "vectors_") else fitted.transform(texts)
        return Embedder(fitted), as_dense(rows)
    if hasattr(learner, "encode"):
        found = Embedder(learner)
        return found, found.vectors(texts)
    raise ParameterError(
        f"learner must have fit and transform, or encode; got {type(learner).__name__}. Pass for "
        "example LatentSemantic(), or vectors= to fit."
    )


def embedder_bytes(embedder: Embedder) -> NDArray[np.uint8]:
    """Return the learner's own native file."""
    if not hasattr(embedder.source, "save"):
        raise ParameterError(
            f"{type(embedder.source).__name__}, which makes the vectors, cannot be saved. Fit with "
            "vectors= of it, and keep the encoder yourself."
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "embedder.vl"
        embedder.source.save(path)
        return np.frombuffer(path.read_bytes(), dtype=np.uint8)


def embedder_of(container: Container) -> Embedder | None:
    """Return the learner that a model's file holds, if any."""
    from vectorloom.io.container import open_any

    if "embedder" not in container.arrays:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "embedder.vl"
        path.write_bytes(container.array("embedder", "|u1", (None,)).tobytes())
        return Embedder(open_any(path))
