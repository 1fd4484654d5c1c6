# SPDX-License-Identifier: Apache-2.0
"""BM25: formulas worked by hand, other libraries' scores, words of any script, changes, files."""

from __future__ import annotations

import contextlib
import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.index.sparse.bm25_weights import METHODS
from vectorloom.index.sparse.bm25_words import TermCounter

TEXTS = ["the red fox", "a blue fox", "red red wine and bread", "", "wine"]


def texts_of(rng, n: int, words: int = 60) -> list[str]:
    vocabulary = [f"w{i}" for i in range(words)]
    shares = 1 / np.arange(1, words + 1)
    return [
        " ".join(rng.choice(vocabulary, rng.integers(1, 30), p=shares / shares.sum()))
        for _ in range(n)
    ]


def by_formula(texts, query, method, k1=1.2, b=0.75, delta=0.5) -> list[float]:
    """One text after the other, straight from the definitions."""
    cut = [re.findall(r"\b\w\w+\b", text.lower()) for text in texts]
    n, mean = len(cut), sum(map(len, cut)) / len(cut)
    df = {w: sum(w in c for c in cut) for c in cut for w in c}
    okapi = {w: math.log((n - d + 0.5) / (d + 0.5)) for w, d in df.items()}
    floor = max(0.0, 0.25 * sum(okapi.values()) / len(okapi))
    out = []
    for c in cut:
        score, length = 0.0, 1 - b + b * len(c) / mean
        for w in re.findall(r"\b\w\w+\b", query.lower()):
            if w not in df:
                continue
            tf, d = c.count(w), df[w]
            plain = tf / (tf + k1 * length)
            if method == "lucene":
                score += math.log(1 + (n - d + 0.5) / (d + 0.5)) * plain
            elif method == "robertson":
                score += max(0.0, okapi[w]) * plain
            elif method == "atire":
                score += math.log(n / d) * plain * (k1 + 1)
            elif method == "okapi":
                score += (floor if okapi[w] < 0 else okapi[w]) * plain * (k1 + 1)
            elif method == "bm25l":
                part = tf / length + delta
                score += math.log((n + 1) / (d + 0.5)) * (k1 + 1) * part / (k1 + part)
            else:
                score += math.log((n + 1) / d) * (plain * (k1 + 1) + delta)
        out.append(score)
    return out


def same(a, b) -> None:
    np.testing.assert_array_equal(a.ids, b.ids)
    np.testing.assert_allclose(a.scores, b.scores, rtol=1e-6)
    np.testing.assert_array_equal(a.counts, b.counts)


# ---- scores --------------------------------------------------------------------------------------


def test_lucene_scores_worked_by_hand() -> None:
    texts = ["red fox", "blue fox", "red red wine bread"]  # mean length 8/3
    hits = vl.index.BM25().fit(texts).search(["red"], k=3)
    idf = math.log(1 + 1.5 / 2.5)
    first = idf * 2 / (2 + 1.2 * (0.25 + 0.75 * 4 / (8 / 3)))
    second = idf * 1 / (1 + 1.2 * (0.25 + 0.75 * 2 / (8 / 3)))
    assert hits.ids.tolist() == [[2, 0, -1]]
    np.testing.assert_allclose(hits.scores[0, :2], [first, second], rtol=1e-6)
    assert hits.counts.tolist() == [2]


@pytest.mark.parametrize("method", [m for m in METHODS if m != "tfidf"])
def test_each_method_has_the_scores_of_its_formula(method, rng) -> None:
    texts = texts_of(rng, 40)
    queries = ["w0 w3 w3 w59", "w1 w7 unknown", "w40"]
    for params in ({}, {"k1": 0.9, "b": 0.4, "delta": 1.0}, {"b": 0.0}):
        hits = vl.index.BM25(method=method, **params).fit(texts).search(queries, k=40)
        for i, query in enumerate(queries):
            want = np.array(by_formula(texts, query, method, **params))
            m = hits.counts[i]
            np.testing.assert_allclose(hits.scores[i, :m], want[hits.ids[i, :m]], rtol=2e-6)
            assert (np.diff(hits.scores[i, :m]) <= 0).all()


def test_tfidf_is_scikit_learns(rng) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts, queries = texts_of(rng, 60), texts_of(rng, 5)
    vectors = TfidfVectorizer()
    rows = vectors.fit_transform(texts)
    want = (vectors.transform(queries) @ rows.T).toarray()
    hits = vl.index.BM25(method="tfidf").fit(texts).search(queries, k=60)
    for i in range(5):
        m = hits.counts[i]
        np.testing.assert_allclose(hits.scores[i, :m], want[i, hits.ids[i, :m]], rtol=1e-5)


@pytest.mark.parametrize("method", ["lucene", "robertson", "atire", "bm25l", "bm25+"])
def test_scores_are_those_of_bm25s(method, rng) -> None:
    bm25s = pytest.importorskip("bm25s")
    texts, queries = texts_of(rng, 50), texts_of(rng, 6)
    peer = bm25s.BM25(method=method, k1=1.2, b=0.75, delta=0.5)
    peer.index(bm25s.tokenize(texts, stopwords=None, show_progress=False), show_progress=False)
    ids, scores = peer.retrieve(
        bm25s.tokenize(queries, stopwords=None, show_progress=False), k=50, show_progress=False
    )
    hits = vl.index.BM25(method=method).fit(texts).search(queries, k=50)
    for i in range(6):
        want = dict(zip(ids[i].tolist(), scores[i].tolist(), strict=True))
        for id_, score in zip(*hits[i], strict=True):
            assert want[id_] == pytest.approx(score, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(("method", "name"), [("okapi", "BM25Okapi"), ("bm25+", "BM25Plus")])
def test_scores_are_those_of_rank_bm25(method, name, rng) -> None:
    rank_bm25 = pytest.importorskip("rank_bm25")
    texts = texts_of(rng, 50)
    peer = getattr(rank_bm25, name)([text.split() for text in texts], k1=1.5, b=0.75)
    delta = getattr(peer, "delta", 0.5)
    index = vl.index.BM25(method=method, k1=1.5, delta=delta).fit(texts)
    for query in ("w0 w3 w20", "w1 w2 w2 w50"):
        want = peer.get_scores(query.split())
        hits = index.search([query], k=50)[0]
        np.testing.assert_allclose(hits.scores, want[hits.ids], rtol=1e-5)


# ---- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "The quick-brown fox, ran! a I x2 über_alles",
        "Ελληνικά ΚΑΙ Русский язык 中文分词 日本語テキスト हिन्दी العربية עברית",
        "café naïve Straße İstanbul ǅ ﬁne ½ ² ٣٤ Ⅷ 𝔘𝔫𝔦 😀😀 e\u0301a\u200db",
        "",
        "  \n\t.;:",
        "a",
        "𠀀𠀁 \x00ab\x7f _ __ a_b",
    ],
)
def test_words_are_those_of_the_regular_expression(text) -> None:
    counter = TermCounter(frozenset(), None, None)
    counter.count([text], grow=True)
    want = list(dict.fromkeys(re.findall(r"\b\w\w+\b", text.lower())))
    assert counter.known_words() == want


def test_many_words_keep_their_numbers(rng) -> None:
    words = [f"{i:x}q" for i in rng.permutation(30_000)]
    counter = TermCounter(frozenset(), None, None)
    counter.count([" ".join(words), " ".join(reversed(words))], grow=True)
    assert counter.known_words() == words
    rows, lengths = counter.count([words[7] + " nothing " + words[7]], grow=False)
    assert (rows.terms.tolist(), rows.weights.tolist(), lengths.tolist()) == ([7], [2.0], [2])


def test_stop_words_stems_and_analyzers() -> None:
    index = vl.index.BM25(stop_words="english", stemmer="light").fit(
        ["the queries and the foxes", "querying a fox"]
    )
    assert "the" not in index.vocabulary_
    assert index.search(["query"], 2).counts.tolist() == [2]
    assert index.search(["the"], 2).counts.tolist() == [0]
    letters = vl.index.BM25(analyzer=list).fit(["abc", "cde"])
    assert letters.vocabulary_ == list("abcde")
    assert letters.search(["az"], 2).ids.tolist() == [[0, -1]]
    upper = vl.index.BM25(stemmer=lambda word: word[:2], stop_words=["wine"]).fit(TEXTS)
    assert "wi" not in upper.vocabulary_


# ---- changes and files ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_changes_leave_the_scores_of_a_new_fit(method, rng) -> None:
    texts, queries = texts_of(rng, 120), texts_of(rng, 8)
    index = vl.index.BM25(method=method)
    for start, end in ((0, 1), (1, 40), (40, 120)):
        index.add(texts[start:end])
        index.search(queries[:1])
    same(index.search(queries, 20), vl.index.BM25(method=method).fit(texts).search(queries, 20))
    index.remove(range(30))
    whole = vl.index.BM25(method=method).fit(texts[30:], range(30, 120))
    same(index.search(queries, 20), whole.search(queries, 20))
    index.remove(range(30, 90))
    index.upsert(texts[:5], range(100, 105))
    kept = {i: texts[i] for i in range(90, 120)} | {100 + i: texts[i] for i in range(5)}
    whole = vl.index.BM25(method=method).fit(list(kept.values()), list(kept))
    same(index.search(queries, 20), whole.search(queries, 20))


def test_filters_and_ids(rng) -> None:
    texts, queries = texts_of(rng, 200), texts_of(rng, 5)
    names = [f"t{i}" for i in range(200)]
    index = vl.index.BM25().fit(texts, names)
    everything = index.search(queries, 200)
    mask = rng.random(200) < 0.3
    hits = index.search(queries, 10, where=mask)
    allowed = {name for name, yes in zip(names, mask, strict=True) if yes}
    for i in range(5):
        want = [id_ for id_ in everything[i].ids.tolist() if id_ in allowed][:10]
        assert hits[i].ids.tolist() == want


def test_save_open_copy_and_pickle_give_equal_answers(rng, tmp_path: Path) -> None:
    texts, queries = [*texts_of(rng, 100), "Größe 中文"], [*texts_of(rng, 5), "GRÖSSE 中文"]
    index = vl.index.BM25(k1=0.9, stop_words=["w0"], stemmer="light").fit(texts)
    index.remove([3])
    index.save(tmp_path / "a.vl")
    opened = vl.open(tmp_path / "a.vl", verify=True)
    want = index.search(queries, 9)
    assert opened.get_params() == index.get_params()
    same(opened.search(queries, 9), want)
    same(pickle.loads(pickle.dumps(index)).search(queries, 9), want)
    with pytest.raises(vl.ParameterError, match=r"copy\(\)"):
        opened.add(["new"])
    copy = opened.copy()
    same(copy.search(queries, 9), want)
    copy.add(["quite new words"])
    assert copy.search(["quite"]).ids[0, 0] == 101
    assert copy.vocabulary_[: len(index.vocabulary_)] == index.vocabulary_


def test_functions_must_be_given_again_after_opening(tmp_path: Path) -> None:
    vl.index.BM25(analyzer=str.split).fit(["a b", "c"]).save(tmp_path / "a.vl")
    opened = vl.open(tmp_path / "a.vl")
    with pytest.raises(vl.ParameterError, match="set_params"):
        opened.search(["c"])
    opened.set_params(analyzer=str.split)
    assert opened.search(["c"]).ids[0, 0] == 1


def test_truncated_and_damaged_files_are_refused(rng, tmp_path: Path) -> None:
    path = tmp_path / "a.vl"
    vl.index.BM25().fit(texts_of(rng, 100)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-64])
    with pytest.raises(vl.FormatError):
        vl.open(path)
    for at in rng.integers(len(whole) // 3, len(whole), 30).tolist():
        broken = bytearray(whole)
        broken[at] ^= 4
        path.write_bytes(bytes(broken))
        with pytest.raises(vl.FormatError):
            vl.open(path, verify=True)
        with contextlib.suppress(vl.VectorloomError):
            vl.open(path).search(["w1 w2"])


# ---- bad input -----------------------------------------------------------------------------------


def test_empty_texts_and_unknown_words_have_no_hits() -> None:
    index = vl.index.BM25().fit(TEXTS)
    hits = index.search(["nothing known", "", "fox"], k=9)
    assert hits.counts.tolist() == [0, 0, 2]
    assert (hits.ids[:2] == -1).all()
    assert index.search([], k=2).ids.shape == (0, 2)
    blank = vl.index.BM25().fit(["", "a"])
    assert blank.search(["fox"]).counts.tolist() == [0]
    blank.add(["fox"])
    assert blank.search(["fox"]).ids[0, 0] == 2


def test_bad_input_is_refused_and_changes_nothing() -> None:
    index = vl.index.BM25().fit(TEXTS)
    before = index.search(["red wine"], 5)
    for call in (
        lambda: index.fit("one text"),
        lambda: index.add(["fine", None]),
        lambda: index.add(["fresh words"], [0]),
        lambda: index.add(["half \ud800 pair"]),
        lambda: index.fit(["a", "b"], [1, 1]),
        lambda: index.search("one text"),
        lambda: index.search(["x"], k=0),
        lambda: index.upsert(["x"], None),
    ):
        with pytest.raises(vl.VectorloomError):
            call()
    assert "fresh" not in index.vocabulary_
    same(index.search(["red wine"], 5), before)
    for wrong in (
        {"k1": -1},
        {"b": 2},
        {"delta": math.nan},
        {"method": "bm26"},
        {"stop_words": "french"},
        {"stemmer": "snow"},
        {"analyzer": "words"},
        {"k1": True},
    ):
        with pytest.raises(vl.ParameterError):
            vl.index.BM25(**wrong).fit(TEXTS)
    with pytest.raises(vl.NotFittedError):
        vl.index.BM25().search(["x"])
