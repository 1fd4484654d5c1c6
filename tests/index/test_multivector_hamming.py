# SPDX-License-Identifier: Apache-2.0
"""MaxSim over bits of both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError

DIM = 37  # bits that fill no byte


def test_scores_count_the_bits_that_agree(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    items = [rng.standard_normal((int(m), DIM)) for m in rng.integers(1, 7, 40)]
    queries = rng.standard_normal((5, 3, DIM))
    index = vl.index.TokenCodes(vl.compress.Sign(center=False), hamming=True).fit(items)
    hits = index.search(queries, k=40)
    expected = np.array(
        [
            [np.max(np.sign(q) @ np.sign(item).T, axis=1).sum() / DIM for item in items]
            for q in queries
        ]
    )
    for q in range(5):
        np.testing.assert_allclose(hits.scores[q], expected[q, hits.ids[q]], atol=1e-6)
        assert (np.diff(hits.scores[q]) <= 0).all()
    assert index.bytes_per_vector_ == 5
    index.save(tmp_path / "bits.vl")
    opened = vl.open(tmp_path / "bits.vl")
    assert opened.hamming is True
    np.testing.assert_array_equal(opened.search(queries, k=9).scores, hits.scores[:, :9])


def test_a_codec_without_bits_is_refused() -> None:
    with pytest.raises(ParameterError, match="hamming"):
        vl.index.TokenCodes(vl.compress.Scalar(bits=8), hamming=True).fit(np.ones((2, 2, 8)))
