# SPDX-License-Identifier: Apache-2.0
"""Gradients against finite differences; a frozen basis stays alive where free codewords die."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress.codebook.bottleneck import (
    FreeCodebook,
    Schedule,
    look_up,
    losses_and_gradients,
    mismatch,
    nearest,
    sum_by_codeword,
    usage,
)
from vectorloom.compress.codebook.packing import pack_codes, unpack_codes
from vectorloom.compress.codebook.simvq import LinearCodebook
from vectorloom.errors import ParameterError, ShapeError


def test_codewords_are_the_basis_through_one_linear_layer():
    book = LinearCodebook(np.array([[[1.0, 0.0], [0.0, 2.0]]], np.float32))
    book.params["map"][0] = [[0, 3], [1, 0]]
    book.params["offset"][0, 0] = [10, 20]
    np.testing.assert_array_equal(book.codewords()[0], [[10, 23], [12, 20]])


def test_one_chosen_codeword_moves_all_of_a_linear_codebook_and_one_of_a_free(rng):
    basis = rng.standard_normal((1, 5, 3)).astype(np.float32)
    by_codeword = np.zeros_like(basis)
    by_codeword[0, 2] = 1.0
    for book, moved in ((LinearCodebook(basis), 5), (FreeCodebook(basis), 1)):
        before = book.codewords().copy()
        for name, gradient in book.gradients(by_codeword).items():
            book.params[name] -= np.float32(0.1) * gradient
        assert (book.codewords() != before).any(axis=2).sum() == moved


def test_the_gradient_of_the_linear_layer_is_that_of_finite_differences(rng):
    book = LinearCodebook(rng.standard_normal((2, 6, 3)).astype(np.float32))
    weight = rng.standard_normal((2, 6, 3)).astype(np.float32)
    gradients = book.gradients(weight)
    for name, array in book.params.items():
        for at in np.ndindex(array.shape):
            keep, sides = array[at], []
            for value in (keep + np.float32(0.5), keep - np.float32(0.5)):  # it is linear
                array[at] = value
                sides.append(float((book.codewords() * weight).sum(dtype=np.float64)))
            array[at] = keep
            assert gradients[name][at] == pytest.approx(sides[0] - sides[1], rel=1e-3, abs=1e-4)


def test_straight_through_gradients_are_those_of_the_stated_losses(rng):
    """Each part of the loss by finite differences, with the labels and sg(.) held."""
    X = rng.standard_normal((9, 4)).astype(np.float32)
    encoder, decoder = (rng.standard_normal(s).astype(np.float32) for s in ((6, 4), (4, 6)))
    words = rng.standard_normal((2, 3, 3)).astype(np.float32)
    schedule = Schedule(1, 9, 0.1, commitment=0.4, synchronised=0.3)
    error, got = losses_and_gradients(X, encoder, decoder, words, schedule)

    wide = X.astype(np.float64)
    z0 = wide @ encoder.T.astype(np.float64)
    labels = nearest(z0.astype(np.float32), words)
    q0 = look_up(labels, words).astype(np.float64)
    assert error == pytest.approx(np.mean((q0 @ decoder.T - wide) ** 2), rel=1e-5)

    def loss(E: np.ndarray, D: np.ndarray, C: np.ndarray) -> float:
        z, q = wide @ E.T, look_up(labels, C)
        # Straight-through: the decoder's input moves with z, and with ν of the codeword.
        into = q0 + (z - z0) + 0.3 * (q - q0)
        task = np.mean((into @ D.T - wide) ** 2)
        return float(task + np.mean((q - z0) ** 2) + 0.4 * np.mean((z - q0) ** 2))

    at = [encoder.astype(np.float64), decoder.astype(np.float64), words.astype(np.float64)]
    for which, name in enumerate(("encoder", "decoder", "codewords")):
        for place in np.ndindex(at[which].shape):
            keep, sides = at[which][place], []
            for sign in (1, -1):
                at[which][place] = keep + sign * 1e-5
                sides.append(loss(*at))
            at[which][place] = keep
            slope = (sides[0] - sides[1]) / 2e-5
            assert got[name][place] == pytest.approx(slope, rel=1e-3, abs=1e-5), (name, place)


def test_looking_up_and_summing_are_transposes(rng):
    labels = rng.integers(0, 5, (20, 3)).astype(np.int32)
    words = rng.standard_normal((3, 5, 2)).astype(np.float32)
    values = rng.standard_normal((20, 6)).astype(np.float32)
    forward = float((look_up(labels, words) * values).sum())
    assert forward == pytest.approx(float((sum_by_codeword(labels, values, 5) * words).sum()), 1e-4)


@pytest.mark.parametrize("bits", [1, 3, 4, 8, 9, 16])
@pytest.mark.parametrize("n_parts", [1, 3, 7])
def test_packed_labels_come_back(rng, bits, n_parts):
    labels = rng.integers(0, 1 << bits, (17, n_parts)).astype(np.int32)
    codes = pack_codes(labels, bits)
    assert codes.shape == (17, -(-n_parts * bits // 8))
    np.testing.assert_array_equal(unpack_codes(codes, n_parts, bits), labels)


def test_low_bits_come_first():
    assert pack_codes(np.array([[1, 2]], np.int32), 4).tolist() == [[0x21]]


def test_usage_counts_codewords_and_their_evenness():
    labels = np.array([[0], [0], [1], [1]], np.int32)
    assert usage(labels, 4) == (0.5, pytest.approx(2.0))


def test_mismatch_is_zero_for_equal_moments_and_one_for_a_shift_of_one_deviation(rng):
    rows = rng.standard_normal((400, 2)).astype(np.float32)
    assert mismatch(rows, rows[None]) == pytest.approx(0, abs=1e-6)
    shifted = rows + rows.std(axis=0)
    assert mismatch(rows, shifted[None]) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("n_codewords", [32, 128, 512])
def test_utilisation_holds_as_the_codebook_grows_where_free_codewords_collapse(rng, n_codewords):
    """The claim of the paper, at small scale."""
    X = (rng.standard_normal((3000, 8)) @ rng.standard_normal((8, 16))).astype(np.float32)
    settings = {"n_epochs": 12, "batch_size": 128, "learning_rate": 0.02}
    ours = vl.compress.SimVQ(n_codewords, **settings).fit(X)
    plain = vl.compress.SimVQ(n_codewords, reparam="none", **settings).fit(X)
    assert_at_least(ours.utilization_, 0.85, "share of codewords in use")
    if n_codewords > 32:
        assert_at_most(plain.utilization_, 0.7, "share in use without the linear layer")
        assert_at_least(ours.perplexity_ / plain.perplexity_, 1.8, "ratio of perplexities")
        assert_at_most(ours.losses_[-1], 0.95 * plain.losses_[-1], "error against plain")


def test_more_codewords_than_a_byte_holds_take_two(rng):
    X = rng.standard_normal((600, 4)).astype(np.float32)
    vq = vl.compress.SimVQ(300, n_epochs=1).fit(X)
    assert vq.bytes_per_vector_ == 2
    labels = unpack_codes(vq.transform(X), 1, 9)
    assert labels.max() >= 256


def test_a_narrower_latent_space_decodes_to_the_input_space(rng):
    X = (rng.standard_normal((500, 3)) @ rng.standard_normal((3, 10)) + 4).astype(np.float32)
    vq = vl.compress.SimVQ(64, 3, n_latent=3, n_epochs=20, batch_size=50).fit(X)
    decoded = vq.inverse_transform(vq.transform(X))
    loss = float(((X - decoded) ** 2).sum() / ((X - X.mean(axis=0)) ** 2).sum())
    assert_at_most(loss, 0.06, "relative squared error of 18 bits for 3 dimensions")


def test_the_same_seed_gives_the_same_bits_and_another_does_not(rng):
    X = rng.standard_normal((200, 6)).astype(np.float32)
    fits = [vl.compress.SimVQ(8, 2, n_epochs=2, random_state=s).fit(X) for s in (0, 0, 1)]
    assert fits[0].fingerprint_ == fits[1].fingerprint_ != fits[2].fingerprint_


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_codewords": 41}, ShapeError, "40 rows; n_codewords=41"),
        ({"n_codewords": 1}, ParameterError, "n_codewords must be"),
        ({"n_codewords": 4, "n_parts": 4}, ParameterError, "cannot be cut into n_parts=4"),
        ({"n_codewords": 4, "n_latent": 7}, ParameterError, "n_latent must be at most the 6"),
        ({"n_codewords": 4, "reparam": "affine"}, ParameterError, "reparam must be one of"),
        ({"n_codewords": 4, "learning_rate": 0}, ParameterError, "learning_rate must be"),
        ({"n_codewords": 4, "commitment": np.nan}, ParameterError, "commitment must be"),
        ({"n_codewords": 70000}, ParameterError, "at most 65,536"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_remedy(rng, settings, error, message):
    with pytest.raises(error, match=message):
        vl.compress.SimVQ(**settings).fit(rng.standard_normal((40, 6)).astype(np.float32))


def test_equal_rows_are_coded_exactly():
    X = np.full((20, 4), 2.5, np.float32)
    vq = vl.compress.SimVQ(4, n_epochs=1).fit(X)
    np.testing.assert_allclose(vq.inverse_transform(vq.transform(X)), X, atol=0.5)
