# SPDX-License-Identifier: Apache-2.0
"""Laws of hashed n-grams."""

from __future__ import annotations

import numpy as np
import pytest

from vectorloom import ParameterError, _core
from vectorloom.learn.documents.ngrams import (
    NgramTable,
    byte_tokens,
    check_buckets,
    encode_texts,
    ngram_buckets,
    word_tokens,
)


def test_equal_ngrams_share_a_bucket_and_none_crosses_a_text() -> None:
    tokens = byte_tokens([b"abcab", b"", b"ab"])
    found = ngram_buckets(tokens, np.array([1, 2, 3]), 1 << 30)
    a, b, c, again, last = found[:5]
    assert a[1] == again[1] == found[5, 1]
    assert (a[0], b[0]) == (again[0], last[0])
    assert len({a[0], b[0], c[0]}) == 3
    assert a[2] != b[2] >= 0
    assert again[2] == last[1] == last[2] == found[5, 2] == found[6, 1] == -1


def test_words_hash_alike_wherever_they_stand() -> None:
    tokens = word_tokens([["red", "fox"], [], ["fox"]])
    assert tokens.offsets.tolist() == [0, 2, 2, 3]
    assert tokens.values[1] == tokens.values[2] != tokens.values[0]


def test_table_keeps_buckets_of_enough_texts() -> None:
    tokens = word_tokens([["a", "b", "a"], ["a"], ["c"]])
    table, df = NgramTable.of(tokens, [1], 1 << 20, 2)
    assert len(table) == 1
    assert df.tolist() == [2]
    assert table.rows(tokens)[:, 0].tolist() == [0, -1, 0, 0, -1]


def test_sums_are_those_of_the_formulas() -> None:
    tokens = word_tokens([["a", "b", "a"], ["x"]])
    table, _ = NgramTable.of(word_tokens([["a"], ["b"]]), [1], 1 << 20, 1)
    rows = np.array([[1.0, 2.0], [3.0, -1.0]], np.float32)
    a, b = (rows[table.rows(word_tokens([[word]]))[0, 0]] for word in "ab")
    logs = encode_texts(table, rows, tokens, mean=False, power=0.0, n_jobs=1)
    np.testing.assert_allclose(logs[0], (1 + np.log(2)) * a + b, rtol=1e-6)
    means = encode_texts(table, rows, tokens, mean=True, power=0.0, n_jobs=1)
    np.testing.assert_allclose(means[0], (2 * a + b) / 3, rtol=1e-6)
    scaled = encode_texts(table, rows, tokens, mean=False, power=0.5, n_jobs=1)
    np.testing.assert_allclose(scaled[0], logs[0] / np.sqrt(np.linalg.norm(logs[0])), rtol=1e-6)
    assert not logs[1].any()


def test_core_refuses_rows_that_are_not_there() -> None:
    one = np.array([1], np.int64)
    ngrams = _core.Ngrams(np.array([[3]], np.int32), np.array([0, 1]), one)
    out = np.empty((1, 2), np.float32)
    with pytest.raises(RuntimeError, match="not there"):
        _core.encode_bags(ngrams, np.zeros((2, 2), np.float32), mean=True, power=0.0, out=out)


@pytest.mark.parametrize("n_buckets", [0, (1 << 30) + 1, 2.5])
def test_bad_numbers_of_buckets_are_refused(n_buckets: float) -> None:
    with pytest.raises(ParameterError):
        check_buckets(n_buckets)
