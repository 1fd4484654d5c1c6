# SPDX-License-Identifier: Apache-2.0
"""How text is cut into terms, worked by hand."""

from __future__ import annotations

import pytest

from vectorloom.learn.terms import Terms, stem


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("read_csv readCsv ReadCSV", ["read", "csv", "read", "csv", "read", "csv"]),
        ("utf8, x = 1; don't", ["utf8", "don"]),
        ("Größe über ALLES", ["größ", "über", "alle"]),
        ("", []),
    ],
)
def test_words_and_parts_of_identifiers_are_terms(text: str, terms: list[str]) -> None:
    assert Terms()(text) == terms


@pytest.mark.parametrize(
    "family",
    ["sort sorts sorted sorting", "query queries", "class classes", "compute computes computed"],
)
def test_common_forms_of_a_word_share_a_stem(family: str) -> None:
    assert len({stem(word) for word in family.split()}) == 1


@pytest.mark.parametrize("word", ["bus", "is", "need", "ring", "axis", "pass", "tree"])
def test_short_and_irregular_words_are_left_alone(word: str) -> None:
    assert stem(word) == word


def test_runs_of_words_are_joined_by_a_blank() -> None:
    found = Terms(stem=False, ngram_range=(1, 2))("open a file")
    assert found == ["open", "file", "open file"]


def test_stop_words_are_left_out_before_runs_are_made() -> None:
    assert Terms(stop_words=["the"], ngram_range=(2, 2))("read the file") == ["read file"]
