# SPDX-License-Identifier: Apache-2.0
"""Quality against truth: hand-worked cases, and the numbers of other libraries."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import FormatError, ParameterError, ShapeError
from vectorloom.measure.capacity import as_relevance
from vectorloom.measure.correlation import correlation

measure = vl.measure


def test_correlations_are_those_of_scipy(rng) -> None:
    stats = pytest.importorskip("scipy.stats")
    x, y = rng.integers(0, 6, 60), rng.standard_normal(60)
    assert correlation(x, y).value == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    theirs = stats.pearsonr(x, y)
    ours = correlation(x, y, "pearson")
    assert ours.value == pytest.approx(theirs.statistic, abs=1e-12)
    assert (ours.low, ours.high) == pytest.approx(theirs.confidence_interval(), abs=1e-9)
    assert np.isnan(correlation([1, 1, 1], [1, 2, 3]).value)


def test_sts_turns_distances_round(rng) -> None:
    A = rng.standard_normal((200, 8))
    noise = rng.uniform(0, 2, 200)
    B = A + noise[:, None] * rng.standard_normal((200, 8))
    for similarity in ("cosine", "l2", "l1"):
        assert measure.sts(A, B, -noise, similarity=similarity).value > 0.3
    assert measure.sts(A, B, -noise, similarity="l2").value > 0.8


def test_word_similarity_counts_what_is_unknown() -> None:
    X = [[1, 0], [1, 0.1], [0, 1], [1, 1]]
    pairs = [("cat", "Dog", 9.0), ("cat", "car", 1.0), ("cat", "pet", 6.0), ("cat", "zebu", 5.0)]
    found = measure.word_similarity(["cat", "dog", "car", "pet"], X, pairs)
    assert found.value == 1.0
    assert found.parts["unknown"] == 1.0


def test_analogies_are_argmax_of_the_formulas(rng) -> None:
    words = [f"w{i}" for i in range(30)]
    X = rng.standard_normal((30, 10))
    units = X / np.linalg.norm(X, axis=1, keepdims=True)
    cosines = units @ units.T
    asked = [tuple(rng.permutation(30)[:4]) for _ in range(200)]
    for method in ("3cosadd", "3cosmul"):
        right = 0
        for a, b, c, d in asked:
            if method == "3cosadd":
                scores = cosines[b] - cosines[a] + cosines[c]
            else:
                s = (1 + cosines) / 2
                scores = s[b] * s[c] / (s[a] + 1e-3)
            scores[[a, b, c]] = -np.inf
            right += int(np.argmax(scores) == d)
        questions = {"all": [tuple(words[i] for i in row) for row in asked]}
        assert measure.analogies(words, X, questions, method).share == right / 200


def test_files_of_words_are_read_and_told_where_they_are_wrong(tmp_path) -> None:
    (tmp_path / "pairs.tsv").write_text("word1\tword2\tscore\nold\tnew\t1.5\n\na\tb\t2\n")
    assert measure.read_word_pairs(tmp_path / "pairs.tsv") == [("old", "new", 1.5), ("a", "b", 2.0)]
    (tmp_path / "bad.tsv").write_text("a b 1\na b\n")
    with pytest.raises(FormatError, match="line 2"):
        measure.read_word_pairs(tmp_path / "bad.tsv")
    (tmp_path / "q.txt").write_text(": capitals\nAthens Greece Oslo Norway\n: rest\na b c d\n")
    assert list(measure.read_analogies(tmp_path / "q.txt")) == ["capitals", "rest"]
    (tmp_path / "q2.txt").write_text("a b c\n")
    with pytest.raises(FormatError, match="four words"):
        measure.read_analogies(tmp_path / "q2.txt")


@pytest.fixture
def classes(rng) -> tuple[np.ndarray, np.ndarray]:
    y = np.repeat(np.arange(4), 50)
    return rng.standard_normal((200, 10)) + 2.5 * np.eye(10)[y], y


def test_probes_learn_more_from_more_rows(classes) -> None:
    found = measure.probe(*classes, shots=(1, 8, 0), draws=2)
    for kind in ("linear", "knn", "mixed"):
        first, _, last = found.accuracy[kind]
        assert first < last
        assert last > 0.8
    assert found.chance == pytest.approx(0.25)
    assert "all" in str(found)
    assert found.plot().svg.count("curve") >= 3


def test_probes_of_labels_by_chance_find_chance(rng) -> None:
    found = measure.probe(rng.standard_normal((400, 6)), rng.integers(0, 2, 400), kinds=["linear"])
    assert abs(found.accuracy["linear"][0] - 0.5) < 0.15


def test_probes_take_held_out_rows_that_are_given(classes) -> None:
    X, y = classes
    names = np.array(["a", "b", "c", "d"])[y]
    found = measure.probe(X, names, kinds=["knn"], test=(X, names), k=1)
    assert found.accuracy["knn"][0] == 1.0  # each finds itself
    with pytest.raises(ParameterError, match="of the classes"):
        measure.probe(X, names, test=(X, ["e"] * 200))


def test_a_grid_of_clusters_is_scored_as_sklearn_scores(classes) -> None:
    X, y = classes
    found = measure.clustering_grid(X, y, dims=[0, 3], runs=2)
    assert {(s.algorithm, s.reducer) for s in found.scores} == {
        (a, r) for a in ("kmeans", "agglomerative") for r in ("none", "pca:3")
    }
    values = [score.v_measure for score in found.scores]
    assert values == sorted(values, reverse=True)
    assert found.best.v_measure > 0.6
    assert "4 classes" in str(found)


def test_what_few_dimensions_can_and_cannot_do() -> None:
    assert measure.critical_dimension(np.eye(3, dtype=bool)).dim == 2
    # All pairs of four: pairs across a circle cannot be returned, on a sphere they can.
    found = measure.critical_dimension(measure.all_subsets(4))
    assert found.dim == 3
    assert found.tried[2] < 1.0
    assert found.enough == 5


def test_relevance_comes_from_qrels_too() -> None:
    matrix = as_relevance({"q1": {"a": 1, "b": 0}, "q2": {"c": 2, "a": 1}})
    assert matrix.tolist() == [[True, False, False], [True, False, True]]
    with pytest.raises(ParameterError, match="query 0 has 2 of 2"):
        as_relevance([[1, 1], [1, 0]])


def test_free_vectors_are_what_they_say() -> None:
    wanted = measure.all_subsets(6)
    found = measure.free_vectors(wanted, 4, random_state=1)
    scores = found.queries @ found.documents.T
    gaps = [row[w].min() - row[~w].max() for row, w in zip(scores, wanted, strict=True)]
    assert found.margin == pytest.approx(min(gaps))
    assert found.solved == np.mean(np.array(gaps) > 0)
    np.testing.assert_allclose(np.linalg.norm(found.documents, axis=1), 1.0)


@pytest.mark.parametrize(("n", "k"), [(5, 1), (20, 2), (12, 3)])
def test_the_moment_curve_returns_all_subsets_in_2k_plus_1_dimensions(n, k) -> None:
    queries, documents = measure.moment_curve(n, k)
    assert documents.shape == (n, 2 * k + 1)
    scores, wanted = queries @ documents.T, measure.all_subsets(n, k)
    assert (
        np.where(wanted, scores, np.inf).min(1) > np.where(wanted, -np.inf, scores).max(1)
    ).all()


def test_limit_sets_ask_for_every_pair_once_and_words_find_them() -> None:
    found = measure.limit_set(10, 2, n_queries=None, n_filler=5, likes=12)
    assert len(found.queries) == 45
    assert len(found.corpus) == 15
    assert len({tuple(sorted(row)) for row in found.qrels.values()}) == 45
    for q, text in found.queries.items():
        thing = text.removeprefix("Who likes ").removesuffix("?")
        holders = {d for d, t in found.corpus.items() if f" {thing}," in t or f" {thing}." in t}
        assert holders == set(found.qrels[q])
    with pytest.raises(ParameterError, match="fewer than"):
        measure.limit_set(4, 2, n_queries=100)


class Encoder:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        return np.array([[len(text), sum(map(ord, text))] for text in texts], np.float64)


def test_nothing_is_encoded_twice_and_the_next_process_knows_it(tmp_path) -> None:
    encoder = Encoder()
    with measure.CachedEncoder(encoder, tmp_path, name="m", batch_size=2) as cached:
        first = cached.encode(["x", "yy", "x", "zzz"])
        assert encoder.asked == ["x", "yy", "zzz"]
        assert len(cached) == 3
    with measure.CachedEncoder(encoder, tmp_path, name="m") as cached:
        np.testing.assert_array_equal(cached.encode(["x", "yy", "x", "zzz"]), first)
        assert (cached.hits, cached.misses) == (4, 0)
    with measure.CachedEncoder(encoder, tmp_path, name="other") as cached:
        cached.encode(["x"])
    assert encoder.asked == ["x", "yy", "zzz", "x"]


def test_the_protocol_of_mteb_is_spoken_in_both_versions(tmp_path) -> None:
    encoder = Encoder()
    prompts = {"query": "query: "}
    with measure.CachedEncoder(encoder, tmp_path, name="m", prompts=prompts) as cached:
        old = cached.encode(["a", "b"], task_name="STS", prompt_type=None, batch_size=8)
        batches = iter([{"text": ["a"]}, {"text": ["b"]}])
        new = cached.encode(
            batches, task_metadata=None, hf_split="test", hf_subset="en", prompt_type=None
        )
        np.testing.assert_array_equal(old, new)
        cached.encode(["a"], prompt_type="query")
        assert encoder.asked[-1] == "query: a"
        assert cached.similarity(old, new).shape == (2, 2)
        np.testing.assert_allclose(cached.similarity_pairwise(old, new), 1.0, rtol=1e-6)


def test_a_damaged_cache_is_not_believed(tmp_path) -> None:
    with measure.CachedEncoder(Encoder(), tmp_path, name="m") as cached:
        cached.encode(["x", "yy"])
        rows = tmp_path / "vectors.f32"
        whole = rows.read_bytes()
        rows.write_bytes(whole[:3] + b"\x7f" + whole[4:])
        with pytest.raises(FormatError, match="damaged"):
            cached.encode(["x"])
        rows.write_bytes(whole[:8])
        with pytest.raises(FormatError, match="cut short"):
            cached.encode(["yy"])
    (tmp_path / "index.sqlite").write_bytes(b"no database, but long enough to be looked at" * 99)
    with pytest.raises(FormatError, match="no index"):
        measure.CachedEncoder(Encoder(), tmp_path, name="m")


def test_an_interrupted_encoding_keeps_what_was_done(tmp_path) -> None:
    def stops(texts: list[str]) -> np.ndarray:
        if "c" in texts:
            raise KeyboardInterrupt
        return np.ones((len(texts), 2))

    with measure.CachedEncoder(stops, tmp_path, name="m", batch_size=1) as cached:
        with pytest.raises(KeyboardInterrupt):
            cached.encode(["a", "b", "c"])
        assert len(cached) == 2
        connection = sqlite3.connect(tmp_path / "index.sqlite")
        assert connection.execute("SELECT COUNT(*) FROM kept").fetchone() == (2,)
        connection.close()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: measure.sts(np.ones((4, 2)), np.ones((4, 3)), [1] * 4), ShapeError, "2"),
        (lambda: measure.sts(np.ones((4, 2)), np.ones((4, 2)), [1]), ShapeError, "one a pair"),
        (
            lambda: measure.word_similarity(["a"], [[1.0]], [("a", "b", 1)]),
            ParameterError,
            "0 of 1",
        ),
        (
            lambda: measure.analogies(["a"], [[1.0]], {"x": [("a", "b", "c", "d")]}),
            ParameterError,
            "none of 1",
        ),
        (
            lambda: measure.probe(np.ones((9, 2)), [1] * 9),
            ParameterError,
            "nothing can be told apart",
        ),
        (lambda: measure.probe(np.ones((3, 2)), [1, 1, 2]), ParameterError, "has one row"),
        (
            lambda: measure.probe(np.eye(8), [0] * 4 + [1] * 4, shots=(9,)),
            ParameterError,
            "smallest has 3",
        ),
        (lambda: measure.clustering_grid(np.eye(4), [0, 1]), ShapeError, "one a row"),
        (lambda: measure.all_subsets(3, 4), ParameterError, "subsets"),
        (
            lambda: measure.critical_dimension(measure.all_subsets(9), max_dim=2, steps=50),
            ParameterError,
            "max_dim",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(call, error, words) -> None:
    with pytest.raises(error, match=words):
        call()
