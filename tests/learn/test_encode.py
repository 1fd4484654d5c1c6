# SPDX-License-Identifier: Apache-2.0
"""Encoding with whatever model the user has; here with models of a few lines."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import DependencyError, ParameterError, ShapeError


class Lengths:
    """Counts letters and words; remembers the batches it was given."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode(self, texts: list[str]) -> Any:
        self.batches.append(len(texts))
        return [[float(len(text)), float(len(text.split()))] for text in texts]


def test_vectors_are_float32_in_the_order_of_the_texts() -> None:
    vectors = vl.encode((t for t in ("abc", "a b")), Lengths(), normalize=False)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, [[3, 1], [3, 2]])


def test_normalised_vectors_have_unit_length_and_zero_stays_zero() -> None:
    vectors = vl.encode(["abcd", ""], Lengths())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0], atol=1e-7)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_the_batch_size_changes_calls_and_not_results(batch_size: int) -> None:
    model, texts = Lengths(), ["x" * i for i in range(1, 6)]
    vectors = vl.encode(texts, model, batch_size=batch_size)
    assert max(model.batches) == min(batch_size, 5)
    np.testing.assert_array_equal(vectors, vl.encode(texts, Lengths()))


class Returns:
    def __init__(self, values: Any) -> None:
        self.values = values

    def encode(self, texts: list[str]) -> Any:
        return self.values


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ([[1.0, float("nan")]], ParameterError, "NaN or infinity for text 0"),
        ([1.0, 2.0], ShapeError, r"shape \(2,\) for 1 texts"),
        ([[1.0], [2.0]], ShapeError, r"\(1, dim\) was expected"),
    ],
)
def test_a_model_that_returns_nonsense_is_named(values: Any, error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        vl.encode(["text"], Returns(values))


def test_a_model_whose_dimension_changes_is_refused() -> None:
    class Growing:
        dim = 1

        def encode(self, texts: list[str]) -> Any:
            self.dim += 1
            return np.ones((len(texts), self.dim))

    with pytest.raises(ShapeError, match="one dimension was expected"):
        vl.encode(["a", "b"], Growing(), batch_size=1)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ShapeError, match="got none"):
        vl.encode([], Lengths())
    with pytest.raises(ParameterError, match="batch_size"):
        vl.encode(["a"], Lengths(), batch_size=0)
    with pytest.raises(ParameterError, match="object with an encode method; got int"):
        vl.encode(["a"], 3)
    with pytest.raises(ParameterError, match="loaded model"):
        vl.encode(["a"], Lengths(), device="cpu")


def test_a_missing_package_gives_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(DependencyError, match=r'pip install "vectorloom\[encoders\]"'):
        vl.encode(["a"], "some-model")


def test_a_name_that_cannot_be_loaded_offline_asks_for_a_local_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(name: str, device: str | None) -> Any:
        raise OSError(f"no connection, so no {name}")

    package = types.ModuleType("sentence_transformers")
    package.SentenceTransformer = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)
    with pytest.raises(ParameterError, match="pass the path of a folder"):
        vl.encode(["a"], "some-model")
