# SPDX-License-Identifier: Apache-2.0
"""The Fourier baseline."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress import FFT, PCA
from vectorloom.compress.reduce.fft import real_fourier

rng = np.random.default_rng(0)


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 7, 16, 33, 97])
def test_all_coefficients_are_a_rotation(dim):
    W = FFT(dim).fit(rng.standard_normal((3, dim)).astype(np.float32)).components_
    assert np.allclose(W @ W.T, np.eye(dim), atol=1e-5)


def test_four_numbers_worked_by_hand():
    # c = (10, -2 + 2i, -2) / 2; the pair is scaled by √2.
    expected = [5, -np.sqrt(2), np.sqrt(2), -1]
    assert np.allclose(real_fourier(np.array([[1.0, 2.0, 3.0, 4.0]])), expected)


def test_it_is_the_transform_of_the_library():
    X = rng.standard_normal((20, 15)).astype(np.float32)
    spectrum = np.fft.rfft(X, axis=1, norm="ortho")
    Z = FFT(5).fit_transform(X)
    pairs = np.sqrt(2) * spectrum[:, 1:3]
    expected = np.column_stack(
        [
            spectrum[:, 0].real,
            pairs[:, 0].real,
            pairs[:, 0].imag,
            pairs[:, 1].real,
            pairs[:, 1].imag,
        ]
    )
    assert np.allclose(Z, expected, atol=1e-5)


def test_smooth_rows_need_few_coefficients_and_rough_ones_do_not_get_away_with_few():
    steps = rng.standard_normal((200, 64))
    smooth = np.cumsum(steps - steps.mean(axis=1, keepdims=True), axis=1).astype(np.float32)
    assert_at_least(FFT(16).fit(smooth).kept_, 0.9, "kept of random walks")
    assert_at_most(FFT(16).fit(steps.astype(np.float32)).kept_, 0.3, "kept of white noise")


def test_choosing_by_energy_keeps_no_less_than_low_frequencies_and_pca_no_less_than_both():
    X = rng.standard_normal((300, 24)).astype(np.float32)
    X += 3 * np.cos(np.pi * np.arange(24) * 0.8) * rng.standard_normal((300, 1))
    X = X.astype(np.float32)
    low, energy = FFT(6).fit(X).kept_, FFT(6, select="energy").fit(X).kept_
    pca = PCA(6, center=False).fit(X)
    best = float((pca.transform(X) ** 2).sum() / (X**2).sum())
    assert low < energy <= best + 1e-6


def test_decoding_is_the_best_with_those_frequencies():
    X = rng.standard_normal((10, 9)).astype(np.float32)
    reducer = FFT(4).fit(X)
    lost = X - reducer.inverse_transform(reducer.transform(X))
    assert np.allclose(lost @ reducer.components_.T, 0, atol=1e-5)


@pytest.mark.parametrize("bad", [0, -3, 10, 1.5])
def test_a_length_that_cannot_be_is_refused(bad):
    with pytest.raises(vl.ParameterError, match="n_components"):
        FFT(bad).fit(np.ones((3, 9), np.float32))


def test_another_choice_is_refused_with_the_list():
    with pytest.raises(vl.ParameterError, match="'low', 'energy'"):
        FFT(2, select="high").fit(np.ones((3, 9), np.float32))
