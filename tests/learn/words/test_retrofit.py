# SPDX-License-Identifier: Apache-2.0
"""Retrofitting by hand, at its fixed point, from files; bad lexicons."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from vectorloom.errors import ParameterError
from vectorloom.learn import KeyedVectors, retrofit


def test_one_round_by_hand():
    words = KeyedVectors(["a", "b", "c"], [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    moved = retrofit(words, [("A", "b"), ("b", "c")], n_iter=1)
    np.testing.assert_allclose(moved["a"], [0.5, 0.5])
    np.testing.assert_allclose(moved["b"], [0.0, 0.5])  # mean of a and c is 0
    np.testing.assert_allclose(moved["c"], [-0.5, 0.5])
    np.testing.assert_array_equal(words["a"], [1.0, 0.0])


def test_many_rounds_reach_the_fixed_point():
    rng = np.random.default_rng(0)
    words = KeyedVectors([f"w{i}" for i in range(30)], rng.normal(size=(30, 5)))
    edges = [(f"w{a}", f"w{b}") for a, b in rng.integers(0, 20, size=(40, 2))]
    moved = retrofit(words, edges, n_iter=200, alpha=0.5)
    start = words.vectors_ / np.linalg.norm(words.vectors_, axis=1, keepdims=True)
    adjacency = np.zeros((30, 30))
    for a, b in edges:
        if a != b:
            i, j = int(a[1:]), int(b[1:])
            adjacency[i, j] = adjacency[j, i] = 1
    degrees = adjacency.sum(axis=1)
    for i in range(30):
        expected = start[i]
        if degrees[i]:
            mean = adjacency[i] @ moved.vectors_ / degrees[i]
            expected = (0.5 * start[i] + mean) / 1.5
        np.testing.assert_allclose(moved.vectors_[i], expected, atol=1e-5)


def test_lexicons_of_all_forms_agree(tmp_path):
    words = KeyedVectors(["a", "b", "c"], np.eye(3), counts=[3, 2, 1])
    path = tmp_path / "lexicon.txt.gz"
    path.write_bytes(gzip.compress(b"a b c\n\nb a\n"))
    expected = retrofit(words, [("a", "b"), ("a", "c")])
    for lexicon in (path, str(path), {"a": ["b", "c"], "x": ["a"]}):
        np.testing.assert_array_equal(retrofit(words, lexicon).vectors_, expected.vectors_)
    assert expected.counts_.tolist() == [3, 2, 1]


def test_bad_lexicons_are_refused():
    words = KeyedVectors(["a", "b"], np.eye(2))
    with pytest.raises(ParameterError, match="no two words"):
        retrofit(words, {"x": ["y"], "a": ["a"]})
    with pytest.raises(ParameterError, match="alpha"):
        retrofit(words, {"a": ["b"]}, alpha=0)
