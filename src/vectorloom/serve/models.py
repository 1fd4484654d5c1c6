# SPDX-License-Identifier: Apache-2.0
"""Models that turn texts into vectors, mounted under names when the server starts.

--model notes=notes.vl      a learner that `vectorloom.open` opens and that has transform(texts)
--model mini=./all-MiniLM   a folder that sentence-transformers saved
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import DependencyError, ParameterError, VectorloomError
from vectorloom.io.container import is_container, open_any
from vectorloom.learn.encode import encode
from vectorloom.serve.refusals import not_found
from vectorloom.store import Encoder
from vectorloom.store.encoder import EncoderRecord

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
_UNIT = 1e-3
_WORDS = re.compile(r"\w+|[^\w\s]")


class Model:
    """One mounted model.

    Parameters
    ----------
    name : str
    model : object
        Has ``transform(texts)`` or ``encode(texts)``, one vector a text.
    """

    def __init__(self, name: str, model: Any) -> None:
        self.name = name
        self._model = model
        self._lock = threading.Lock()  # not all models may be asked by two threads at once

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one float32 vector a text.

        Raises
        ------
        ParameterError, ShapeError
            What came back is not that.
        """
        with self._lock:
            if hasattr(self._model, "transform"):
                call = self._model.transform
                return Encoder(call, name=self.name).encode(texts)
            return encode(texts, self._model, normalize=False, show_progress=False)

    def cut(self, texts: Sequence[str], dimensions: int | None) -> NDArray[np.float32]:
        """Return the first dimensions of each vector, at unit length where the whole one has it.

        Raises
        ------
        ParameterError
            There are not so many.
        """
        whole = self.vectors(texts)
        if dimensions is None or dimensions == whole.shape[1]:
            return whole
        if dimensions > whole.shape[1]:
            raise ParameterError(
                f"dimensions is {dimensions} and {self.name!r} has {whole.shape[1]}."
            )
        lengths = np.linalg.norm(whole.astype(np.float64), axis=1)
        part = whole[:, :dimensions]
        left = np.linalg.norm(part.astype(np.float64), axis=1)
        scale = np.where((np.abs(lengths - 1) < _UNIT) & (left > 0), 1 / np.maximum(left, 1e-30), 1)
        return (part * scale[:, None]).astype(np.float32)

    def tokens(self, texts: Sequence[str]) -> int:
        """Return how many tokens texts have: the model's own, else words and signs."""
        tokenizer = getattr(self._model, "tokenizer", None)
        if callable(tokenizer):
            with self._lock:
                return sum(len(each) for each in tokenizer(list(texts))["input_ids"])
        return sum(len(_WORDS.findall(text)) for text in texts)

    def encoder(self, known: EncoderRecord | None = None) -> Encoder:
        """Return it as the encoder of a collection.

        `known`: what a collection has recorded. Its revision is taken over, for a mounted model has
        none; that it is the same model is shown by the vectors of a few texts.
        """
        revision = "" if known is None else known.revision
        return Encoder(self.vectors, name=self.name, revision=revision)


class Models:
    """All mounted models.

    Parameters
    ----------
    models : mapping of str to object
        By name.

    Raises
    ------
    ParameterError
        A name that cannot be one, or a model that does not turn a text into a vector.
    """

    def __init__(self, models: Mapping[str, Any]) -> None:
        for name in models:
            if not NAME.fullmatch(name):
                raise ParameterError(f"{name!r} cannot be the name of a model; use {NAME.pattern}.")
        self._models = {name: Model(name, model) for name, model in models.items()}
        for name, model in self._models.items():
            _try(name, model)

    def __contains__(self, name: object) -> bool:
        return name in self._models

    def names(self) -> list[str]:
        """Return the names, sorted."""
        return sorted(self._models)

    def get(self, name: str) -> Model:
        """Return a model.

        Raises
        ------
        Refusal
            404.
        """
        if name not in self._models:
            raise not_found("model")
        return self._models[name]


def open_models(mounts: Sequence[str]) -> dict[str, Any]:
    """Open the models of ``NAME=PATH`` options.

    Raises
    ------
    ParameterError
        Not of that form, a name twice, or a file that holds no model of texts.
    FormatError, OSError, DependencyError
    """
    found: dict[str, Any] = {}
    for mount in mounts:
        name, sign, place = mount.partition("=")
        if not sign or not NAME.fullmatch(name) or not place:
            raise ParameterError(f"--model takes NAME=PATH; got {mount!r}.")
        if name in found:
            raise ParameterError(f"--model has the name {name!r} twice.")
        found[name] = _opened(Path(place))
    return found


def _try(name: str, model: Model) -> None:
    """Ask a model once, so that one that takes no texts is refused before the server listens."""
    try:
        model.vectors(["a text"])
    except (VectorloomError, TypeError, ValueError, AttributeError) as error:
        raise ParameterError(
            f"the model {name!r} does not turn texts into vectors ({error}). Mount one whose "
            "transform or encode takes a list of texts."
        ) from error


def _opened(path: Path) -> Any:
    if path.is_file() and is_container(path):
        model = open_any(path)
        if not callable(getattr(model, "transform", None)):
            raise ParameterError(
                f"{path} holds {type(model).__name__}, which has no transform(texts)."
            )
        return model
    if not path.exists():
        raise ParameterError(f"{path}: there is nothing here to mount as a model.")
    if not path.is_dir():
        raise ParameterError(
            f"{path} is neither a file that vectorloom.open opens nor a folder of a "
            "sentence-transformers model."
        )
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise DependencyError(
            f"{path} is a folder, and models in folders need sentence-transformers. Run: pip "
            'install "vectorloom[encoders]"'
        ) from None
    try:
        return SentenceTransformer(str(path))
    except Exception as error:  # its loaders raise OSError, ValueError and more
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise ParameterError(f"{path} could not be loaded as a model ({reason}).") from error
