# SPDX-License-Identifier: Apache-2.0
"""Vectors from a sentence encoder that the user has."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import DependencyError, ParameterError, ShapeError
from vectorloom.estimator import check_count
from vectorloom.learn.texts import as_texts
from vectorloom.progress import progress


def encode(
    texts: Iterable[str],
    model: Any,
    *,
    batch_size: int = 32,
    normalize: bool = True,
    device: str | None = None,
    show_progress: bool | None = None,
) -> NDArray[np.float32]:
    """Turn texts into vectors with a sentence-transformers model, or anything that has ``encode``.

    Parameters
    ----------
    texts : iterable of str
        One vector each.
    model : str, path or object
        Folder of a saved model, name of a model, a loaded ``SentenceTransformer``, or any object
        whose ``encode(list_of_texts)`` returns one vector a text.
    batch_size : int, default=32
        Texts handed to the model at once.
    normalize : bool, default=True
        Scale each vector to unit length; a zero vector stays zero.
    device : str, optional
        ``"cpu"``, ``"cuda"`` …, where a model that is named is loaded. A loaded model stays where
        it is, so giving both is an error.
    show_progress : bool, optional
        True shows the progress bar, False hides it; by default it shows on a terminal only.

    Returns
    -------
    ndarray of shape (n, dim), float32

    Raises
    ------
    DependencyError
        `model` is a name or path and sentence-transformers is not installed.
    ParameterError
        The model cannot be loaded (without network, give a local folder), `texts` are not strings,
        or the model returns NaN or infinity.
    ShapeError
        No texts, or the model does not return one vector a text.

    Notes
    -----
    Nothing global is changed: no environment variable, no seed, no thread count. Each text is
    encoded with the texts of its batch, so another `batch_size` may change the last bits.

    Examples
    --------
    >>> class Lengths:
    ...     def encode(self, texts):
    ...         return [[len(text), 1.0] for text in texts]
    >>> encode(["one", "three"], model=Lengths(), normalize=False)
    array([[3., 1.],
           [5., 1.]], dtype=float32)
    """
    texts = as_texts(texts)
    batch_size = check_count("batch_size", batch_size)
    encoder = _encoder(model, device)
    blocks: list[NDArray[np.float32]] = []
    quiet = None if show_progress is None else not show_progress
    with progress("encoding", total=len(texts), unit="texts", quiet=quiet) as bar:
        for start in range(0, len(texts), batch_size):
            batch = texts[start : start + batch_size]
            blocks.append(_encode_batch(encoder, batch, start))
            bar.advance(len(batch))
    dims = {block.shape[1] for block in blocks}
    if len(dims) > 1:
        raise ShapeError(
            f"the model returned vectors of {sorted(dims)} dimensions; one dimension was expected. "
            "Check its encode method."
        )
    vectors = np.concatenate(blocks)
    if normalize:
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        np.divide(vectors, lengths, out=vectors, where=lengths > 0, casting="same_kind")
    return vectors


def _encode_batch(encoder: Any, batch: list[str], start: int) -> NDArray[np.float32]:
    if type(encoder).__module__.startswith("sentence_transformers"):
        values = encoder.encode(batch, batch_size=len(batch), show_progress_bar=False)
    else:
        values = encoder.encode(batch)
    if hasattr(values, "detach"):  # a torch tensor, perhaps on another device
        values = values.detach().cpu().float()
    block = np.array(values, dtype=np.float32)
    if block.ndim != 2 or len(block) != len(batch):
        raise ShapeError(
            f"the model returned an array of shape {block.shape} for {len(batch)} texts; "
            f"({len(batch)}, dim) was expected. Check its encode method."
        )
    finite = np.isfinite(block).all(axis=1)
    if not finite.all():
        raise ParameterError(
            f"the model returned NaN or infinity for text {start + int(np.argmin(finite))}; finite "
            "numbers were expected. Check the model, or load it in float32."
        )
    return block


def _encoder(model: Any, device: str | None) -> Any:
    if not isinstance(model, (str, os.PathLike)):
        if not callable(getattr(model, "encode", None)):
            raise ParameterError(
                f"model must be a name, a folder or an object with an encode method; got "
                f"{type(model).__name__}. Pass for example a SentenceTransformer."
            )
        if device is not None:
            raise ParameterError(
                f"device={device!r} came with a loaded model; it applies to a name or folder only. "
                "Move the model yourself, e.g. model.to(device)."
            )
        return model
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise DependencyError(
            f"encoding with model={os.fspath(model)!r} needs the package sentence-transformers, "
            'which is not installed. Run: pip install "vectorloom[encoders]"'
        ) from error
    name = os.fspath(model)
    is_folder = Path(name).is_dir()
    try:
        return SentenceTransformer(name, device=device)
    except Exception as error:  # its loaders raise OSError, ValueError, network errors and more
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        if is_folder:
            remedy = "Save the model into it again with SentenceTransformer.save."
        else:
            remedy = (
                "It is no local folder, and could not be had from the network; offline, pass the "
                "path of a folder that SentenceTransformer.save wrote."
            )
        raise ParameterError(f"model {name!r} could not be loaded ({reason}). {remedy}") from error
