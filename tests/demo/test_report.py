# SPDX-License-Identifier: Apache-2.0
"""The demo from end to end on a small cap, and the promises of its report."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.demo import DemoResult, run_demo
from vectorloom.demo.layout import flat_layout, sample_positions
from vectorloom.demo.passages import Passage, Root
from vectorloom.demo.report import Picture, render
from vectorloom.demo.run import search_known
from vectorloom.demo.speed import numpy_scan
from vectorloom.errors import ParameterError

QUESTION = "parse command line arguments </script><b>"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    folder = tmp_path_factory.mktemp("demo") / "new" / "folder"
    return run_demo(folder, questions=[QUESTION, "xqzzy"], max_passages=700, n_jobs=2)


class Resources(HTMLParser):
    """Collects everything that a browser would fetch, and the text of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [
            v or "" for k, v in attrs if k in ("src", "href", "srcset", "data", "action")
        ]


@pytest.mark.acceptance
def test_the_demo_runs_end_to_end_and_accounts_for_itself(result: DemoResult) -> None:
    assert result.report.is_file()
    assert result.corpus.n_passages == 700
    assert result.corpus.is_capped
    assert [q.method.split()[0] for q in result.quality] == [
        "BM25",
        "DualEncoder",
        "both",
    ]
    for quality in result.quality:
        assert quality.n_queries > 50
        assert 0.1 < quality.mrr_at_10 <= quality.ndcg_at_10 <= quality.found_at_10 <= 1
        low, high = quality.mrr_interval
        assert low < quality.mrr_at_10 < high
    assert {(s.mode, s.threads) for s in result.speed} == {
        (mode, threads) for mode in ("batch of 500", "one at a time") for threads in (1, 2)
    } or len(result.speed) >= 4
    assert all(s.queries_per_s > 0 for s in result.speed)
    assert result.same_answers > 0.95
    assert (
        result.seconds["total"] >= sum(v for k, v in result.seconds.items() if k != "total") - 1e-6
    )


@pytest.mark.acceptance
def test_it_ends_with_an_index_that_was_tuned_and_can_be_opened(result: DemoResult) -> None:
    index = vl.open(result.tuned.index)
    assert str(index.recipe_).split(",")[0] == result.tuned.recipe.split(",")[0]
    assert len(index) <= 700
    assert "const data" in Path(result.tuned.page).read_text(encoding="utf-8")
    assert result.tuned.n_questions == 1
    assert 0.5 <= result.tuned.found_of_exact <= 1.0
    assert "the goals" in str(result)


@pytest.mark.acceptance
def test_a_question_is_answered_best_first_and_an_unknown_one_with_nothing(
    result: DemoResult,
) -> None:
    known, unknown = result.questions
    scores = [a.score for a in known.answers]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert unknown.answers == []


@pytest.mark.acceptance
def test_the_report_is_self_contained(result: DemoResult) -> None:
    page = result.report.read_text(encoding="utf-8")
    found = Resources()
    found.feed(page)
    assert found.fetched == []
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(found.tags)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(", page)
    assert "default-src 'none'" in page
    assert "{{" not in page


@pytest.mark.acceptance
def test_no_text_of_a_user_or_a_package_becomes_markup(result: DemoResult) -> None:
    page = result.report.read_text(encoding="utf-8")
    assert "parse command line arguments &lt;/script&gt;&lt;b&gt;" in page
    assert "</script><b>" not in page
    assert page.count("</script>") == 2
    data = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    points = json.loads(data.group(1))["points"]
    assert len(points) == 700
    assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y, *_ in points)


@pytest.mark.acceptance
def test_the_result_is_plain_data_and_prints_as_tables(result: DemoResult) -> None:
    data = json.loads(json.dumps(result.to_dict()))
    assert data["corpus"]["n_passages"] == 700
    text = str(result)
    for words in ("Quality", "MRR@10", "Exact search", "threads", "Report:", "nothing: no word"):
        assert words in text


def test_markup_in_titles_stays_text(result: DemoResult) -> None:
    """A title that rich or HTML would read as markup."""
    evil = Passage("x", "a.[red]<b>", "a<i>", "class", "</script><script>alert(1)", "")
    page = render(result, Picture(np.zeros((1, 2), np.float32), [evil]))
    assert "<script>alert" not in page
    assert "a<i>" not in page


def test_too_little_documentation_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="found 0 passages"):
        run_demo(tmp_path / "out", roots=[Root(tmp_path)])


def test_questions_must_be_a_list(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="list of str"):
        run_demo(tmp_path, questions="how do I sort?")


def test_the_same_vectors_give_the_same_picture_in_the_unit_square(
    rng: np.random.Generator,
) -> None:
    vectors = rng.standard_normal((120, 8)).astype(np.float32)
    flat = flat_layout(vectors)
    assert flat.shape == (120, 2)
    assert flat.min() >= 0
    assert flat.max() <= 1
    np.testing.assert_array_equal(flat, flat_layout(vectors))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_handful_of_vectors_is_drawn_too(n: int, rng: np.random.Generator) -> None:
    flat = flat_layout(rng.standard_normal((n, 4)).astype(np.float32))
    assert flat.shape == (n, 2)
    assert np.isfinite(flat).all()


def test_a_sample_has_no_repeats_and_keeps_the_order() -> None:
    sample = sample_positions(100, 30)
    assert len(set(sample.tolist())) == 30
    assert (np.diff(sample) > 0).all()
    assert sample_positions(5, 30).tolist() == [0, 1, 2, 3, 4]


def test_zero_vectors_neither_find_nor_are_found() -> None:
    vectors = np.array([[0, 0], [1, 0], [0, 1]], dtype=np.float32)
    queries = np.array([[0.1, 1], [0, 0]], dtype=np.float32)
    found = search_known(vectors, queries, k=3, n_jobs=1)
    assert found.tolist() == [[2, 1, -1], [-1, -1, -1]]


def test_the_numpy_yardstick_finds_the_true_top_k(rng: np.random.Generator) -> None:
    vectors, queries = rng.standard_normal((40, 6)), rng.standard_normal((5, 6))
    expected = np.argsort(-(queries @ vectors.T), axis=1)[:, :7]
    found = numpy_scan(vectors.astype(np.float32), queries.astype(np.float32), 7)
    np.testing.assert_array_equal(found, expected)
