# SPDX-License-Identifier: Apache-2.0
"""Which encoder made a field's vectors, and how to tell that another one did not.

A name can lie: a model is fine-tuned and saved under the old name, a prompt or a normalisation is
forgotten. So a collection also keeps the vectors of a few texts, and an encoder that is to write or
to ask must give them back:  cos(now, then) >= 0.999  for each.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.vectors import as_dense

#: Short, long, in another script, and code: encoders that agree on these agree.
CANARIES = (
    "The quick brown fox jumps over the lazy dog.",
    "Wie wird das Wetter morgen in Zürich?",
    "東京は日本の首都です。",
    "def add(a: int, b: int) -> int: return a + b",
)
_SAME = 0.999  # half precision and other batch sizes stay above .9999, other models far below
_UNIT = 1e-3


@dataclass(frozen=True)
class EncoderRecord:
    """What a collection remembers of an encoder.

    Attributes
    ----------
    name, revision : str
    dim : int
    normalized : bool
        Whether its vectors have unit length.
    canaries : str
        Its float32 vectors of `CANARIES`, one after the other, in base64.
    """

    name: str
    revision: str
    dim: int
    normalized: bool
    canaries: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return dict(self.__dict__)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EncoderRecord:
        """Return the record that `to_dict` described."""
        return cls(**data)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Vectors of the canaries, shape (len(CANARIES), dim)."""
        flat = np.frombuffer(base64.b64decode(self.canaries), "<f4")
        return flat.reshape(-1, self.dim).astype(np.float32)

    def __str__(self) -> str:
        return f"{self.name!r}" + (f" at revision {self.revision!r}" if self.revision else "")


class Encoder:
    """An encoder with the identity that a collection records.

    Parameters
    ----------
    model : object or callable
        Has ``encode(list_of_texts)``, or is called with a list of texts; one vector a text comes
        back.
    name : str, default=None
        What the model is called; None takes ``model.name``.
    revision : str, default=None
        Which state of it; None takes ``model.revision``, else "".

    Raises
    ------
    ParameterError
        No name, or nothing that can be called.

    Examples
    --------
    >>> import vectorloom as vl
    >>> def lengths(texts):
    ...     return [[len(text), 1.0] for text in texts]
    >>> vl.store.Encoder(lengths, name="lengths", revision="1").encode(["one", "three"])
    array([[3., 1.],
           [5., 1.]], dtype=float32)
    """

    def __init__(self, model: Any, name: str | None = None, revision: str | None = None) -> None:
        call = getattr(model, "encode", model)
        if not callable(call):
            raise ParameterError(
                f"encoder must have encode(texts) or be callable; got {type(model).__name__}."
            )
        own = getattr(model, "name", None) if name is None else name
        if not isinstance(own, str) or not own:
            raise ParameterError(
                "the encoder needs a name for the collection to remember. Pass "
                "vl.store.Encoder(model, name='…', revision='…')."
            )
        self.model = model
        self.name = own
        self.revision = str(getattr(model, "revision", "") if revision is None else revision)
        self._call = call

    def encode(self, texts: Sequence[str], dim: int | None = None) -> NDArray[np.float32]:
        """Return one float32 vector a text, shape (n, dim).

        Raises
        ------
        ShapeError, ParameterError
            Not one finite vector of `dim` a text came back.
        """
        vectors = as_dense(self._call(list(texts)), name="vectors of the encoder", dim=dim)
        if len(vectors) != len(texts):
            raise ParameterError(
                f"the encoder {self.name!r} gave {len(vectors)} vectors for {len(texts)} texts."
            )
        found: NDArray[np.float32] = vectors
        return found

    def record(self, dim: int | None = None) -> EncoderRecord:
        """Encode the canaries and return what a collection is to remember."""
        vectors = self.encode(CANARIES, dim)
        norms = np.linalg.norm(vectors, axis=1)
        return EncoderRecord(
            self.name,
            self.revision,
            vectors.shape[1],
            bool((np.abs(norms - 1.0) < _UNIT).all()),
            base64.b64encode(vectors.astype("<f4").tobytes()).decode(),
        )


def as_encoder(model: Any) -> Encoder:
    """Return `model` as an `Encoder`."""
    return model if isinstance(model, Encoder) else Encoder(model)


def require_same_encoder(known: EncoderRecord, offered: EncoderRecord, field: str) -> None:
    """Refuse an encoder that is not the one whose vectors a field holds.

    Raises
    ------
    ParameterError
        Says what differs and what to do.
    """
    differs = []
    if offered.name != known.name or offered.revision != known.revision:
        differs.append(f"it is {offered}")
    if offered.dim != known.dim:
        differs.append(f"it has {offered.dim} dimensions, not {known.dim}")
    elif offered.normalized != known.normalized:
        words = {True: "unit length", False: "any length"}
        differs.append(
            f"its vectors have {words[offered.normalized]}, not {words[known.normalized]}"
        )
    else:
        worst = _agreement(known.vectors, offered.vectors)
        if worst < _SAME:
            differs.append(
                f"it encodes the same texts differently (cosine {worst:.3f} with what it gave "
                "when the collection was made)"
            )
    if differs:
        raise ParameterError(
            f"the field {field!r} holds vectors of the encoder {known}, and another one was "
            f"offered: {'; '.join(differs)}. Vectors of two encoders cannot be compared: use the "
            "recorded encoder, or encode the texts again into a new collection and switch the "
            "alias."
        )


def _agreement(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    if a.shape != b.shape:
        return -1.0
    dots = (a.astype(np.float64) * b).sum(axis=1)
    norms = np.linalg.norm(a.astype(np.float64), axis=1) * np.linalg.norm(
        b.astype(np.float64), axis=1
    )
    same = (a == b).all(axis=1)  # zero vectors have no direction
    return float(np.where(same, 1.0, dots / np.maximum(norms, 1e-300)).min())
