# SPDX-License-Identifier: Apache-2.0
"""Layers of a model as vectors of an item."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import vectorloom as vl
from vectorloom.errors import ParameterError, ShapeError

NAMES = [f"d{i}" for i in range(60)]
ASKED = [f"q{i}" for i in range(12)]
JUDGED = {f"q{i}": {f"d{i}": 1} for i in range(12)}


@pytest.fixture
def layers() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((60, 4, 16)).astype(np.float32)


def unit(X: Any) -> Any:
    return X / np.linalg.norm(X, axis=-1, keepdims=True)


def test_a_mix_of_layers_by_hand() -> None:
    layers = np.array([[[2.0, 0.0], [0.0, 5.0]]])
    mixed = vl.index.pool_layers(layers, "mean", weights=[3, 1])
    np.testing.assert_allclose(mixed, [[3 / np.sqrt(10), 1 / np.sqrt(10)]], rtol=1e-6)
    behind = vl.index.pool_layers(layers, "concat", weights=[3, 1])
    np.testing.assert_allclose(behind, [[np.sqrt(0.75), 0, 0, 0.5]], rtol=1e-6)


def test_scores_are_what_the_formulas_say(layers) -> None:
    chosen, rows = [1, 3], unit(layers)
    values, offsets = vl.index.pool_layers(layers, "multi", layers=chosen)
    hits = vl.index.MultiVector(encoding=None).fit((values, offsets)).search(rows[:3, -1:], k=60)
    expected = np.einsum("qd,nld->qnl", rows[:3, -1], rows[:, chosen]).max(axis=2)
    np.testing.assert_allclose(hits.scores, -np.sort(-expected, axis=1), atol=1e-5)
    behind = vl.index.pool_layers(layers, "concat", layers=chosen)
    both = np.einsum("qld,nld->qn", rows[:, chosen], rows[:, chosen]) / 2
    np.testing.assert_allclose(behind @ behind.T, both, atol=1e-5)


@pytest.mark.parametrize("strategy", ["multi", "mean", "concat"])
def test_one_layer_is_that_layer(layers, strategy: str) -> None:
    pooled = vl.index.pool_layers(layers, strategy, layers=[-1])
    rows = pooled[0] if strategy == "multi" else pooled
    np.testing.assert_allclose(rows, unit(layers[:, 3]), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-5)


def test_the_report_finds_the_layer_that_answers(layers) -> None:
    rng = np.random.default_rng(1)
    asked = rng.standard_normal((12, 4, 16)).astype(np.float32)
    asked[:, 2] = layers[:12, 2] + 0.1 * rng.standard_normal((12, 16))
    report = vl.index.layer_report(layers, asked, JUDGED, NAMES, ASKED, strategies=["concat"])
    assert report.rows[0].layers == (2,)
    assert report.rows[0].quality == 1.0
    assert len(report.rows) == 4 + 3
    asked[:, 3] = asked[:, 2]  # the last layer of queries finds a layer of documents
    report = vl.index.layer_report(layers, asked, JUDGED, NAMES, ASKED)
    rows = {(row.layers, row.strategy): row for row in report.rows}
    assert rows[(2,), "multi"].quality == 1.0
    assert rows[(3,), "multi"].quality < 0.5
    assert rows[(2, 3), "multi"].quality == 1.0
    assert (rows[(2, 3), "multi"].vectors, rows[(2, 3), "concat"].dim) == (2, 32)
    best = [row.quality for row in report.rows]
    assert best == sorted(best, reverse=True)
    assert "nDCG@10" in str(report)
    assert report.to_dict()["rows"]


def test_subsets_are_those_asked_for(layers) -> None:
    report = vl.index.layer_report(
        layers, layers[:12], JUDGED, NAMES, ASKED, subsets=[[-1], [0, 3]], metric="MRR@10"
    )
    assert {row.layers for row in report.rows} == {(3,), (0, 3)}
    assert report.metric == "MRR@10"


def test_bad_input_is_refused(layers) -> None:
    pool = vl.index.pool_layers
    with pytest.raises(ShapeError, match="n_layers"):
        pool(layers[0])
    with pytest.raises(ParameterError, match="strategy"):
        pool(layers, "sum")
    for bad in ([], [4], [-5], [0, 0], [1.5], [0, -4]):
        with pytest.raises(ParameterError, match="layers"):
            pool(layers, layers=bad)
    with pytest.raises(ParameterError, match="weights"):
        pool(layers, "multi", weights=[1, 1, 1, 1])
    with pytest.raises(ShapeError, match="weights"):
        pool(layers, "mean", weights=[1, 1])
    for bad in ([-1, 1, 1, 1], [0, 0, 0, 0], [np.nan, 1, 1, 1]):
        with pytest.raises(ParameterError, match="weights"):
            pool(layers, "mean", weights=bad)
    with pytest.raises(ParameterError, match="zero"):
        pool(np.zeros((2, 2, 3)))
    with pytest.raises(ParameterError, match="NaN"):
        pool(np.full((2, 2, 3), np.nan))
    with pytest.raises(ParameterError, match="zero"):
        pool(np.array([[[1.0, 0.0], [-1.0, 0.0]]]), "mean")  # they cancel
    with pytest.raises(ShapeError, match="layers and dimensions"):
        vl.index.layer_report(layers, layers[:12, :3], JUDGED, NAMES, ASKED)
    with pytest.raises(ShapeError, match="ids"):
        vl.index.layer_report(layers, layers[:12], JUDGED, NAMES[:5], ASKED)
