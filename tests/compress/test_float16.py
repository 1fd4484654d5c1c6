# SPDX-License-Identifier: Apache-2.0
"""Float16 and BFloat16: rounding by hand, the stated error bounds, overflow."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_most

import vectorloom as vl


def rows(n: int = 500, dim: int = 48) -> np.ndarray:
    X = np.random.default_rng(0).standard_normal((n, dim)).astype(np.float32)
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def test_codes_are_the_bytes_of_numpys_float16() -> None:
    X = rows()
    codes = vl.compress.Float16().fit(X).transform(X)
    assert np.array_equal(np.asarray(codes).view(np.float16), X.astype(np.float16))


def test_ties_round_to_the_even_neighbour() -> None:
    step = 2.0**-10  # between neighbours of a float16 in [1, 2)
    X = np.array([[1 + step / 2, 1 + 3 * step / 2]], np.float32)
    half = vl.compress.Float16().fit(X)
    assert half.inverse_transform(half.transform(X)).tolist() == [[1.0, 1 + 2 * step]]
    X = np.array([[1 + 2.0**-8, 1 + 3 * 2.0**-8]], np.float32)
    brain = vl.compress.BFloat16().fit(X)
    assert brain.inverse_transform(brain.transform(X)).tolist() == [[1.0, 1 + 4 * 2.0**-8]]


@pytest.mark.parametrize(("name", "bound"), [("Float16", 2.0**-11), ("BFloat16", 2.0**-8)])
def test_the_relative_error_keeps_its_bound(name: str, bound: float) -> None:
    X = rows() * np.logspace(-3, 3, 48).astype(np.float32)
    X[np.abs(X) < 2.0**-14] = 0
    compressor = getattr(vl.compress, name)().fit(X)
    error = np.abs(compressor.inverse_transform(compressor.transform(X)) - X)
    assert_at_most(float((error / np.maximum(np.abs(X), 1e-30)).max()), bound, "relative error")


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("n_queries", [1, 16, 17])
def test_scanning_and_decoding_score_alike(metric: str, n_queries: int) -> None:
    X = rows()
    compressor = vl.compress.Float16().fit(X)
    codes = compressor.transform(X)
    decoded = compressor.inverse_transform(codes).astype(np.float64)
    Q = X[:n_queries].astype(np.float64) * 3
    wanted = Q @ decoded.T
    if metric == "l2":
        wanted = -((Q[:, None] - decoded[None]) ** 2).sum(-1)
    if metric == "cosine":
        wanted /= np.linalg.norm(Q, axis=1)[:, None] * np.linalg.norm(decoded, axis=1)
    assert np.abs(compressor.scores(Q, codes, metric) - wanted).max() < 2e-5


def test_a_value_beyond_float16_is_refused_with_row_and_remedy() -> None:
    X = rows()
    compressor = vl.compress.Float16().fit(X)
    X[321, 5] = 70_000
    with pytest.raises(vl.ParameterError, match=r"row 321 holds 70000.*BFloat16"):
        compressor.transform(X)
    brain = vl.compress.BFloat16().fit(X)
    assert brain.inverse_transform(brain.transform(X))[321, 5] == 70_144


@pytest.mark.parametrize("bad", [0, 1.5, "all"])
def test_bad_n_jobs_is_refused(bad: object) -> None:
    with pytest.raises(vl.ParameterError, match="n_jobs"):
        vl.compress.Float16(n_jobs=bad).fit(rows())
