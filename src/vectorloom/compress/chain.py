# SPDX-License-Identifier: Apache-2.0
"""Compressors one after another: ``PCA(192) | Float8()``, or its text ``"pca:192 | float8"``."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.compressor import Compressor
from vectorloom.errors import ParameterError


class Chain(Compressor):
    """Reducers followed by one last compressor, used and saved as one.

    Parameters
    ----------
    steps : list of Compressor
        All but the last must return dense vectors; chains among them are unrolled.

    Attributes
    ----------
    steps_ : list of Compressor
        Fitted copies; the given ones stay as they are.
    bytes_per_vector_ : int
        That of the last step.

    Raises
    ------
    ParameterError
        No step, something that is no compressor, or codes in the middle.

    Notes
    -----
    Queries are mapped step by step and scored against the codes of the last step, so a search never
    decodes: for an inner product ``<q, D z + m> = <Dᵀ q, z> + <q, m>``.

    Examples
    --------
    >>> from vectorloom.compress import PCA, Float16
    >>> X = np.random.default_rng(0).standard_normal((100, 8)).astype(np.float32)
    >>> (PCA(4) | Float16()).fit(X).bytes_per_vector_
    8
    """

    _uses_queries: ClassVar[bool] = True

    steps_: list[Compressor]

    def __init__(self, steps: list[Compressor]) -> None:
        self.steps = steps

    @property
    def output(self) -> str:  # type: ignore[override]
        """What the last step returns."""
        return _unrolled(self.steps)[-1].output if self.steps else "codes"

    @property
    def recipe(self) -> str:
        """The chain as text that `from_text` reads."""
        from vectorloom.compress.recipe import to_text

        return " | ".join(to_text(step) for step in _unrolled(self.steps))

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        self.steps_ = [_copy(step) for step in self._checked_steps()]
        for step in self.steps_[:-1]:
            step.fit(X, y, queries)
            X = np.ascontiguousarray(step.transform(X), np.float32)
            if queries is not None:
                queries = step.transform_queries(queries)
        self.steps_[-1].fit(X, y, queries)

    def _checked_steps(self) -> list[Compressor]:
        steps = _unrolled(self.steps)
        if not steps:
            raise ParameterError("a chain needs at least one compressor; got an empty list.")
        for step in steps[:-1]:
            if step.output != "dense":
                raise ParameterError(
                    f"{type(step).__name__} returns {step.output}, which only the last step of a "
                    "chain may; put the reducers before it."
                )
        return steps

    def _transform(self, X: NDArray[np.float32]) -> Any:
        for step in self.steps_[:-1]:
            X = np.ascontiguousarray(step._transform(X), np.float32)
        return self.steps_[-1]._transform(X)

    def _inverse(self, codes: Any) -> NDArray[np.float32]:
        for step in reversed(self.steps_):
            codes = np.asarray(step._inverse(codes), np.float32)
        return np.asarray(codes)

    def _bytes(self) -> int:
        return self.steps_[-1].bytes_per_vector_

    def _scores(
        self, queries: NDArray[np.float32], codes: Any, metric: str
    ) -> NDArray[np.float32] | None:
        if metric == "cosine":
            return None
        mapped = self._through(self.steps_[:-1], queries, metric)
        if mapped is None:
            return None
        last = self.steps_[-1]
        scores = last._scores(mapped[0], codes, metric)
        if scores is None:
            scores = last._decoded_scores(mapped[0], codes, metric)
        return scores + mapped[1][:, None]

    def _map_queries(
        self, queries: NDArray[np.float32], metric: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        return self._through(self.steps_, queries, metric)

    def _through(
        self, steps: list[Compressor], queries: NDArray[np.float32], metric: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        offset = np.zeros(len(queries), np.float32)
        for step in steps:
            mapped = step._map_queries(queries, metric)
            if mapped is None:
                return None
            queries, more = mapped
            offset = offset + more
        return queries, offset


def _unrolled(steps: Any) -> list[Compressor]:
    flat: list[Compressor] = []
    for step in steps:
        if isinstance(step, Chain):
            flat += _unrolled(step.steps)
        elif isinstance(step, Compressor):
            flat.append(step)
        else:
            raise ParameterError(
                f"a chain is made of compressors; got {type(step).__name__}. See vl.compress."
            )
    return flat


def _copy(step: Compressor) -> Compressor:
    return type(step)(**step.get_params(deep=False))
