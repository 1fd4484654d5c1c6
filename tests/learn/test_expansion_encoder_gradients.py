# SPDX-License-Identifier: Apache-2.0
"""Gradients of the expansion encoder against finite differences in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from vectorloom.learn.documents.expansion_batches import contrast, margins
from vectorloom.learn.documents.expansion_head import Head, Weighed
from vectorloom.learn.documents.expansion_training import _by_flops

N_TERMS, LEARNED, DIM = 9, 7, 3


def head(seed: int) -> Head:
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> Any:
        return rng.standard_normal(shape)

    return Head(
        draw(LEARNED, DIM), draw(LEARNED, DIM), draw(LEARNED), draw(LEARNED), draw(N_TERMS), 0.7
    )


def bags(seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, (4, N_TERMS)) * (rng.random((4, N_TERMS)) < 0.5)
    counts[:, 0] += 1
    return csr_matrix(counts.astype(float)), csr_matrix(counts / (counts + 1.0))


def differences(value: Any, array: np.ndarray) -> np.ndarray:
    found = np.zeros_like(array)
    for place in np.ndindex(*array.shape):
        kept = array[place]
        for sign in (1, -1):
            array[place] = kept + sign * 1e-6
            found[place] += sign * value() / 2e-6
        array[place] = kept
    return found


@pytest.mark.parametrize("query", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_weights_have_the_gradient_of_their_formula(query: bool, seed: int) -> None:
    made, (counts, own) = head(seed), bags(seed)
    columns = np.array([0, 2, 3, 5, 7])
    by_weights = np.random.default_rng(9).standard_normal((4, len(columns)))

    def weighed() -> Weighed:
        return Weighed.of(made, made.read(counts), own, columns, query=query)

    def value() -> float:
        # `read` gives lengths as float32, which differences of 1e-6 do not survive.
        rows = counts[:, :LEARNED].toarray()
        h = np.where(rows > 0, 1 + np.log(np.maximum(rows, 1)), 0) @ made.reading
        x = h / np.linalg.norm(h, axis=1, keepdims=True) ** made.power
        a = own[:, columns].toarray() * (1 if query else np.exp(made.gains[columns]))
        logits = np.exp(a) - 1
        learned = columns[columns < LEARNED]
        logits[:, : len(learned)] += (
            x @ made.writing[learned].T + (made.query_bias if query else made.bias)[learned]
        )
        return float((np.log(1 + np.maximum(logits, 0)) * by_weights).sum())

    assert float((weighed().weights * by_weights).sum()) == pytest.approx(value(), rel=1e-5)
    named = weighed().gradients(by_weights)
    assert {name for name, _, _ in named} == (
        {"writing", "reading", "query_bias"} if query else {"writing", "reading", "bias", "gains"}
    )
    for name, rows, gradient in named:
        whole = np.zeros_like(getattr(made, name))
        whole[rows] = gradient
        np.testing.assert_allclose(
            whole, differences(value, getattr(made, name)), rtol=1e-3, atol=1e-4
        )


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_contrast_has_its_gradient(seed: int, n: int) -> None:
    scores = np.random.default_rng(seed).standard_normal((n, n))
    wanted = differences(lambda: contrast(scores)[0], scores)
    np.testing.assert_allclose(contrast(scores)[1], wanted, atol=1e-7)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
@settings(max_examples=25, deadline=None)
def test_margins_are_the_mean_over_pairs(seed: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    scores, wanted = rng.standard_normal((2, m)), rng.standard_normal((2, m))
    wanted[0, 0] = np.nan
    loss = 0.0
    for row in range(2):
        there = np.flatnonzero(np.isfinite(wanted[row]))
        errors = (scores - wanted)[row, there]
        if len(there) > 1:
            gaps = [(errors[a] - errors[b]) ** 2 for a in range(len(there)) for b in range(a)]
            loss += float(np.mean(gaps)) / 2
    assert margins(scores, wanted)[0] == pytest.approx(loss)
    numeric = differences(lambda: margins(scores, wanted)[0], scores)
    np.testing.assert_allclose(margins(scores, wanted)[1], numeric, atol=1e-7)


def test_flops_have_their_gradient() -> None:
    rng = np.random.default_rng(0)
    weights, factors = rng.random((3, 5)), rng.random(5)
    wanted = differences(lambda: float((factors * weights.mean(axis=0) ** 2).sum()), weights)
    np.testing.assert_allclose(_by_flops(weights, factors), wanted, rtol=1e-5)
