# SPDX-License-Identifier: Apache-2.0
"""New words from contexts and forms: the maps, held-out words, what is not known."""

from __future__ import annotations

import numpy as np
import pytest

from vectorloom.errors import NotFittedError, ParameterError
from vectorloom.learn import PMISVD, FewShot, KeyedVectors

STEMS = {"sea": ["ship", "wave", "sail"], "law": ["court", "judge", "trial"]}
ENDINGS = ["", "s", "er", "ing"]


@pytest.fixture(scope="module")
def learned():
    """Sentences of two topics, without the words that end in -ed."""
    rng = np.random.default_rng(0)
    topics = {name: [s + e for s in stems for e in ENDINGS] for name, stems in STEMS.items()}
    lines = [
        [str(w) for w in rng.choice(topics[str(rng.choice(list(topics)))], size=9)]
        for _ in range(500)
    ]
    words = PMISVD(4, min_count=1).fit(lines)
    return words, FewShot(ridge=0.01, max_n=4).fit(words, lines)


def nearest_topic(words, vector):
    best = words.similar_by_vector(vector, topn=1)[0][0]
    return next(name for name, stems in STEMS.items() if best.startswith(tuple(stems)))


@pytest.mark.parametrize("mode", ["context", "hybrid"])
def test_a_context_tells_the_topic(learned, mode):
    words, few = learned
    for name, stems in STEMS.items():
        contexts = [[stems[0], "qqqq", stems[1] + "s"], [stems[2], stems[1]]]
        assert nearest_topic(words, few.induce("qqqq", contexts, mode=mode)) == name


def test_a_form_tells_the_stem(learned):
    words, few = learned
    for name, stems in STEMS.items():
        for stem in stems:
            assert nearest_topic(words, few.induce(stem + "ed", mode="form")) == name


def test_words_beyond_the_window_are_not_looked_at(learned):
    _, few = learned
    far = ["ships", *["zzz"] * few.window, "qqqq", "court"]
    np.testing.assert_allclose(
        few.induce("qqqq", [far], mode="context"), few.induce("qqqq", [["court"]], mode="context")
    )


def test_the_context_map_is_the_ridge_solution():
    rng = np.random.default_rng(1)
    words = KeyedVectors([f"w{i}" for i in range(12)], rng.normal(size=(12, 3)))
    lines = [[f"w{i}" for i in rng.integers(0, 12, size=7)] for _ in range(60)]
    few = FewShot(window=2, ridge=0.5).fit(words, lines)
    counts = np.zeros((12, 12))
    for line in lines:
        rows = [int(w[1:]) for w in line]
        for i, a in enumerate(rows):
            for j, b in enumerate(rows):
                counts[a, b] += 1 <= abs(i - j) <= 2
    n = np.bincount([int(w[1:]) for line in lines for w in line], minlength=12)
    weighted = counts * (1e-3 / (1e-3 + n / n.sum()))
    means = weighted @ words.vectors_ / weighted.sum(axis=1, keepdims=True)
    often = np.log1p(counts.sum(axis=1))[:, None]
    left = means.T @ (often * means)
    left += 0.005 * np.trace(left) / 3 * np.eye(3)
    expected = np.linalg.solve(left, means.T @ (often * words.vectors_))
    np.testing.assert_allclose(few.context_map_, expected, rtol=1e-3, atol=1e-4)


def test_known_words_and_new_ones_together(learned):
    words, few = learned
    more = few.extend({"boating": [["ship", "boating", "waves"]]})
    assert len(more) == len(words) + 1
    np.testing.assert_array_equal(more["ship"], words["ship"])


def test_what_nothing_is_known_of_is_refused(learned):
    words, few = learned
    with pytest.raises(ParameterError, match="nothing is known of 'xx'"):
        few.induce("xx", [["yy"]])
    with pytest.raises(ParameterError, match="nothing is known"):
        few.induce("ships", mode="context")
    with pytest.raises(ParameterError, match="no word that has a vector"):
        FewShot().fit(words, [["a", "b"]])
    with pytest.raises(NotFittedError):
        FewShot().induce("a")
