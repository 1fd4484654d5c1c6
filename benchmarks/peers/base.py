# SPDX-License-Identifier: Apache-2.0
"""What a peer must offer to be measured: one of five small contracts, one file a library.

A peer lives in a worker process of its own, started with its thread counts already forced.
The module defines ``Peer``; libraries are imported by name inside ``__init__``, so that a
missing one is a skipped row and not a broken runner.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


@dataclass
class Answer:
    """What one timed run returned, so that its quality can be judged.

    Parameters
    ----------
    ids : ndarray of shape (rows, k), int64, optional
        Positions in the base, best first, -1 where there is none; None for a run that answers
        nothing (a bandwidth reference).
    scores : ndarray of shape (rows, k), optional
        Cosine or inner product, larger is closer, where the library gives it.
    rows : ndarray of shape (rows,), int64, optional
        Which base rows were asked for, when a graph was built for a sample only.
    scale : float, default=1.0
        The time of the whole job is the measured time times this; above 1 the row is labelled
        as extrapolated.
    """

    ids: Ids | None = None
    scores: NDArray[Any] | None = None
    rows: Ids | None = None
    scale: float = 1.0


@dataclass
class Facts:
    """What a peer says about itself once it is built.

    Parameters
    ----------
    packages : sequence of str
        Distributions whose versions belong in the result.
    level : str, optional
        The CPU level in use, where the library tells.
    row_bytes : int, optional
        Bytes of the stored rows that one query has to look at; GB/s is counted from it.
    detail : dict
        Anything else worth a line in the JSON.
    """

    packages: Sequence[str] = ()
    level: str | None = None
    row_bytes: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)


class SearchPeer:
    """Top-k search: `build` once, `search` many times."""

    def build(self, base: Floats) -> None:
        raise NotImplementedError

    def search(self, queries: Floats, k: int) -> Answer:
        raise NotImplementedError

    def facts(self) -> Facts:
        return Facts()


Setting = dict[str, Any]


class AnnPeer:
    """Approximate search: `build` once, then `apply` one setting after the other and `search`.

    Rows of a cosine suite are unit, so a peer may answer it by inner product.
    """

    has_defaults: ClassVar[bool] = False  # can be searched with the empty setting too

    def prepare(self, base: Floats, folder: Path) -> None:
        """Before the clock starts: files that the library insists on."""

    def build(self, base: Floats) -> None:
        raise NotImplementedError

    def ladders(self, k: int) -> Sequence[Sequence[Setting]]:
        """Settings from fast to thorough, one ladder or several; climbed until recall is full."""
        raise NotImplementedError

    def apply(self, setting: Setting) -> None:
        """Take a setting, or the defaults where it is empty; not timed."""
        raise NotImplementedError

    def search(self, queries: Floats, k: int) -> Ids:
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """Write the index into the empty folder by the library's own call; its size is counted."""
        raise NotImplementedError

    def facts(self) -> Facts:
        return Facts()


class GraphPeer:
    """The k nearest other rows of each row; the input is loaded before the clock starts."""

    def graph(self, base: Floats, k: int) -> Answer:
        raise NotImplementedError

    def facts(self) -> Facts:
        return Facts()


class CodePeer:
    """Codes: `fit` a calibration, `encode` rows (the codes are kept), `decode`, `search` them.

    Which of the three calls is timed is the suite's task; the others are done once around it.
    """

    def fit(self, train: Floats, bits: float) -> None:
        """Learn from these rows; a code of theirs must fit into ``bits`` a dimension (0: any)."""
        raise NotImplementedError

    def encode(self, rows: Floats) -> None:
        raise NotImplementedError

    def decode(self, count: int) -> Floats:
        """The first rows of what was encoded last, as floats."""
        raise NotImplementedError

    def search(self, queries: Floats, k: int) -> Answer:
        """Answer from the codes alone."""
        raise NotImplementedError

    def facts(self) -> Facts:
        return Facts()


class GaugePeer:
    """One number with a unit, smaller is better: seconds of an import, load of an idle process."""

    unit = "s"

    def measure(self) -> float:
        raise NotImplementedError

    def facts(self) -> Facts:
        return Facts()


class UnfitError(Exception):
    """The method has no setting for these data: a skipped row that says so."""


def filled(
    template: str, dim: int, bits: float, size: Callable[[str], int], most_bytes: int = 0
) -> str:
    """Fill the places of a recipe so that a code takes as many of its bytes as the template can.

    ``{bytes}`` is the budget itself, ``{parts}`` the largest divisor of the dimension that is not
    above it, ``{width}`` the largest multiple of ``{bytes}`` dimensions, ``{bits}`` the budget in
    bits but not above the dimension, and ``{dims}`` the most dimensions (a multiple of 8, or all)
    whose code, measured by ``size``, fits.
    """
    budget = math.ceil(dim * bits / 8)
    if most_bytes and budget > most_bytes:
        raise UnfitError(f"{template} is asked for at most {most_bytes} bytes: beyond, it is slow")
    places = {
        "bytes": budget,
        "parts": max((p for p in range(1, min(budget, dim) + 1) if dim % p == 0), default=1),
        "width": max(budget, dim - dim % budget) if budget else dim,
        "bits": min(8 * budget, dim - dim % 8),
    }
    if "{dims}" not in template:
        return template.format(**places)
    for dims in [dim, *range((dim - 1) // 8 * 8, 0, -8)]:
        made = template.format(dims=dims, **places)
        if size(made) <= budget:
            return made
    raise UnfitError(f"no {template} of {dim} dimensions fits into {budget} bytes")


def load(name: str) -> Any:
    """Import a library that may be absent; the worker turns ImportError into a skipped row."""
    return importlib.import_module(name)


def efforts(k: int, most: int = 1024) -> list[int]:
    """Beam widths of a graph search, from k up in steps of about a third."""
    steps = (10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512, 768, 1024)
    return sorted({max(k, step) for step in steps if step <= max(k, most)})


def load_extra(name: str, package: str) -> Any:
    """Import a library that the extra `bench` leaves out, since few machines can install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UnfitError(f"{package} is not installed; run `pip install {package}`") from error


class Merger:
    """Keep the best k of each query while blocks of the base stream past (scores, larger wins)."""

    def __init__(self, n_queries: int, k: int) -> None:
        self.k = k
        self.scores = np.full((n_queries, 0), 0, np.float32)
        self.ids = np.full((n_queries, 0), 0, np.int64)

    def add(self, scores: NDArray[Any], ids: Ids) -> None:
        self.scores = np.concatenate([self.scores, scores], axis=1)
        self.ids = np.concatenate([self.ids, ids], axis=1)

    def best(self) -> tuple[Ids, NDArray[Any]]:
        order = np.argsort(-self.scores, axis=1, kind="stable")[:, : self.k]
        return np.take_along_axis(self.ids, order, 1), np.take_along_axis(self.scores, order, 1)
