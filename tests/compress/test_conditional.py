# SPDX-License-Identifier: Apache-2.0
"""Conditional: a planted linear relation, the limit without one, and misuse."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl


def related(noise: float, n: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of 16 dimensions and the 24-dimensional ones they are a linear map of, and noise."""
    rng = np.random.default_rng(seed)
    G = rng.standard_normal((n, 24))
    W = np.random.default_rng(7).standard_normal((16, 24)) / 24**0.5
    Y = G @ W.T + noise * rng.standard_normal((n, 16)) + 3
    return Y.astype(np.float32), G.astype(np.float32)


def error(compressor: vl.compress.Compressor, Y: np.ndarray, G: np.ndarray | None) -> float:
    decoded = compressor.inverse_transform(compressor.transform(Y, given=G), given=G)
    return float(((decoded - Y) ** 2).mean())


@pytest.mark.parametrize("noise", [0.1, 0.5])
@pytest.mark.parametrize("bits", [2, 4])
def test_the_error_falls_by_the_share_that_is_explained(noise: float, bits: int) -> None:
    (Y, G), (new, new_given) = related(noise), related(noise, seed=1)
    code = vl.compress.NonUniform(bits)
    alone = error(vl.compress.Conditional(code).fit(Y), new, None)
    compressor = vl.compress.Conditional(code).fit(Y, given=G)
    together = error(compressor, new, new_given)
    share = noise**2 / (1 + noise**2)
    assert compressor.explained_ == pytest.approx(1 - share, abs=0.03)
    assert together / alone == pytest.approx(share, rel=0.3)


def test_an_exact_relation_is_found() -> None:
    Y, G = related(0.0)
    compressor = vl.compress.Conditional(vl.compress.NonUniform(1), alpha=0).fit(Y, given=G)
    assert_at_least(compressor.explained_, 1 - 1e-9, "explained")
    assert_at_most(error(compressor, *related(0.0, seed=1)), 1e-9, "squared error")


def test_unrelated_vectors_cost_next_to_nothing() -> None:
    Y, _ = related(0.3)
    noise = np.random.default_rng(5).standard_normal((2000, 24)).astype(np.float32)
    code = vl.compress.NonUniform(3)
    alone = error(vl.compress.Conditional(code).fit(Y), Y, None)
    given = error(vl.compress.Conditional(code).fit(Y, given=noise), Y, noise)
    assert_at_most(given, 1.05 * alone, "squared error")


def test_without_related_vectors_it_is_the_code_alone() -> None:
    Y, _ = related(0.3)
    code = vl.compress.Float8()
    compressor = vl.compress.Conditional(code).fit(Y)
    assert np.array_equal(
        np.asarray(compressor.transform(Y)), np.asarray(vl.compress.Float8().fit(Y).transform(Y))
    )
    assert not hasattr(code, "scale_")  # the parameter itself stays unfitted


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_scores_are_those_of_decoded_rows(metric: str) -> None:
    Y, G = related(0.3, 300)
    compressor = vl.compress.Conditional(vl.compress.NonUniform(2)).fit(Y, given=G)
    codes = compressor.transform(Y, given=G)
    decoded = compressor.inverse_transform(codes, given=G).astype(np.float64)
    wanted = Y[:5].astype(np.float64) @ decoded.T
    if metric == "l2":
        wanted = -((Y[:5, None].astype(np.float64) - decoded[None]) ** 2).sum(-1)
    if metric == "cosine":
        wanted /= np.linalg.norm(Y[:5], axis=1)[:, None] * np.linalg.norm(decoded, axis=1)
    got = compressor.scores(Y[:5], codes, metric, given=G)
    assert np.allclose(got, wanted, rtol=1e-4, atol=1e-3)


def test_a_saved_prediction_comes_back(tmp_path) -> None:
    Y, G = related(0.3, 300)
    compressor = vl.compress.Conditional(vl.compress.MixedBits(2)).fit(Y, given=G)
    codes = compressor.transform(Y, given=G)
    compressor.save(tmp_path / "c.vloom")
    opened = vl.open(tmp_path / "c.vloom")
    assert np.array_equal(
        opened.inverse_transform(codes, given=G), compressor.inverse_transform(codes, given=G)
    )


def test_forgotten_or_foreign_related_vectors_are_refused() -> None:
    Y, G = related(0.3, 300)
    fitted = vl.compress.Conditional().fit(Y, given=G)
    plain = vl.compress.Conditional().fit(Y)
    codes = fitted.transform(Y, given=G)
    for call in (lambda: fitted.transform(Y), lambda: fitted.inverse_transform(codes)):
        with pytest.raises(vl.ParameterError, match="pass given="):
            call()
    with pytest.raises(vl.ParameterError, match="pass given="):
        fitted.scores(Y[:2], codes)
    with pytest.raises(vl.ParameterError, match="fitted without"):
        plain.transform(Y, given=G)
    with pytest.raises(vl.ShapeError, match="one row for each"):
        fitted.transform(Y, given=G[:-1])
    with pytest.raises(vl.ShapeError):
        fitted.transform(Y, given=G[:, :-1])
    with pytest.raises(vl.ShapeError, match="one row for each"):
        vl.compress.Conditional().fit(Y, given=G[:-1])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"alpha": -1}, "alpha"), ({"code": vl.compress.PCA(2)}, "codes"), ({"code": "pq"}, "codes")],
)
def test_bad_parameters_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(vl.ParameterError, match=message):
        vl.compress.Conditional(**wrong).fit(related(0.3, 50)[0])
