# SPDX-License-Identifier: Apache-2.0
"""Further measures of spaces: each finds what is planted, keeps its law, and refuses nonsense."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.measure.curvature import _carried
from vectorloom.measure.graph_reconstruction import average_precision
from vectorloom.measure.spanning_tree import tree_edges

measure = vl.measure


def test_every_public_name_is_there() -> None:
    for name in measure.__all__:
        assert callable(getattr(measure, name)), name


def test_uniformity_is_the_mean_over_pairs_and_even_rows_reach_the_limit(rng) -> None:
    X = rng.standard_normal((60, 5))
    units = X / np.linalg.norm(X, axis=1, keepdims=True)
    gaps = ((units[:, None] - units[None]) ** 2).sum(axis=2)[~np.eye(60, dtype=bool)]
    assert measure.uniformity(X).value == pytest.approx(np.log(np.exp(-2 * gaps).mean()), rel=1e-5)
    for dim in (2, 8, 300):
        found = measure.uniformity(rng.standard_normal((3000, dim)))
        assert found.low - 0.02 < found.parts["even"] < found.high + 0.02
    assert measure.uniformity(np.ones((5, 3))).value == pytest.approx(0.0, abs=1e-6)


def test_alignment_is_the_mean_distance_of_pairs() -> None:
    found = measure.alignment([[1, 0], [1, 0]], [[0, 1], [1, 0]])
    assert found.value == pytest.approx(1.0)
    assert measure.alignment([[1, 0], [1, 0]], [[0, 1], [1, 0]], alpha=1).value == pytest.approx(
        np.sqrt(2) / 2, rel=1e-6
    )


def test_lidar_counts_directions_of_items_and_not_of_noise(rng) -> None:
    items = np.repeat(np.arange(300), 4)
    X = rng.standard_normal((1200, 12))
    X[:, :5] += 30 * rng.standard_normal((300, 5))[items]
    assert measure.lidar(X, items).value == pytest.approx(5, abs=0.5)
    assert measure.lidar(X * np.linspace(1, 9, 12), items).value == pytest.approx(5, abs=0.5)


def test_spanning_trees_are_those_of_scipy(rng) -> None:
    graph = pytest.importorskip("scipy.sparse.csgraph")
    X = rng.standard_normal((80, 4)).astype(np.float32)
    gaps = np.linalg.norm(X[:, None].astype(float) - X[None], axis=2)
    theirs = graph.minimum_spanning_tree(gaps).sum()
    assert tree_edges(X).sum() == pytest.approx(theirs, rel=1e-5)
    assert measure.spanning_tree_length(np.ones((30, 3))).value == pytest.approx(0.0, abs=1e-3)


def test_an_outlier_raises_precision_but_hardly_p_precision(rng) -> None:
    X, far = rng.standard_normal((300, 3)), rng.standard_normal((300, 3)) + 6
    before = measure.precision_recall(X, far)
    X[0] = 60.0  # its ball of the nearest holds everything
    after = measure.precision_recall(X, far)
    assert after.precision > before.precision + 0.5
    assert after.p_precision < before.p_precision + 0.1


def test_a_lost_mode_lowers_recall_and_not_precision(rng) -> None:
    X = np.concatenate([rng.standard_normal((200, 3)), rng.standard_normal((200, 3)) + 9])
    found = measure.precision_recall(X, rng.standard_normal((400, 3)))
    assert found.precision > 0.85
    assert found.recall < 0.6
    assert found.p_recall < 0.6
    assert found.coverage < 0.7


def test_matched_dimensions_beat_chance_only_where_they_are_shared(rng) -> None:
    X = rng.standard_normal((400, 6))
    Y = np.column_stack([X[:, 2], rng.standard_normal((400, 3)), -X[:, 0]])
    found = measure.match_dimensions(X, Y)
    assert found.pairs[:2].tolist() in ([[2, 0], [0, 4]], [[0, 4], [2, 0]])
    assert np.abs(found.correlations[2:]).max() < 0.25
    assert found.chance < 0.2 < found.mean


def test_sharpness_is_one_over_the_nearest_pair_of_other_labels() -> None:
    X = np.array([[0.0], [1.0], [1.5], [4.0]])
    found = measure.label_sharpness(X, [0, 0, 1, 1])
    scale = np.sqrt(2 * X.var())
    assert found.value == pytest.approx(scale / 0.5)
    assert found.parts["disputed"] == 0.5  # rows 1 and 2 are each other's nearest


def test_a_representation_of_fewer_dimensions_than_its_data_keeps_the_bound(rng) -> None:
    data = rng.standard_normal((600, 8))
    found = measure.label_sharpness(data[:, :2], data[:, 0] > 0, data=data)
    assert found.parts["bound holds"] == 1.0
    assert found.parts["dimension"] < found.parts["data dimension"]


def test_information_is_the_divergence_of_contexts_from_their_mean() -> None:
    table = np.array([[8, 2, 0], [1, 1, 8], [5, 5, 0], [3, 3, 3], [9, 1, 1]])
    p, q = table / table.sum(1, keepdims=True), table.sum(0) / table.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        true = np.nansum(np.where(p > 0, p * np.log(p / q), 0), axis=1)
    found = measure.norm_information(np.arange(10.0).reshape(5, 2), table)
    np.testing.assert_allclose(found.information, true)
    with pytest.raises(ParameterError, match="never occur"):
        measure.norm_information(np.ones((5, 2)), np.zeros((5, 3)))


def test_what_both_owe_to_a_third_is_taken_out(rng) -> None:
    z = rng.standard_normal(500)
    x, y = z + 0.5 * rng.standard_normal((2, 500))
    assert measure.partial_correlation(x, y, z).value == pytest.approx(0, abs=0.12)
    assert measure.partial_correlation(x, x + 0.1 * y, z).value > 0.8


@pytest.mark.parametrize("kind", ["product", "separate"])
def test_closed_forms_are_minima_of_their_objectives(rng, kind) -> None:
    X, penalty = rng.standard_normal((20, 6)), 0.8
    A, B = measure.ridge_factors(X, 3, penalty, kind)

    def loss(a, b) -> float:
        rest = np.sum((X - X @ a @ b.T) ** 2)
        if kind == "product":
            return rest + penalty * np.sum((a @ b.T) ** 2)
        return rest + penalty * (np.sum((X @ a) ** 2) + np.sum(b**2))

    here = loss(A, B)
    for _ in range(60):
        step = 1e-2 * rng.standard_normal((2, 6, 3))
        assert loss(A + step[0], B + step[1]) >= here - 1e-9


def test_rescalings_keep_scores_and_move_neighbours(rng) -> None:
    A, B = rng.standard_normal((40, 16)), rng.standard_normal((300, 16))
    found = measure.cosine_audit(A, B, spreads=(0.0, 0.5, 2.0))
    assert found.overlap[0] == 1.0
    assert found.overlap[0] > found.overlap[1] > found.overlap[2]
    assert found.score_change < 1e-5
    assert "dot product" in found.advice


def test_neighbourhoods_of_groups_are_told_from_even_ones(rng) -> None:
    even = rng.uniform(-1, 1, (200, 2))
    groups = np.repeat(rng.uniform(-20, 20, (40, 2)), 5, axis=0) + 0.01 * even
    features = measure.local_topology(np.concatenate([even, groups]), k=12, metric="l2")
    assert features.features.shape == (400, 7)
    assert np.isfinite(features.features).all()
    assert np.median(features["spread"][200:]) > np.median(features["spread"][:200])
    other = measure.local_topology(even[:5], np.concatenate([even, groups]), k=12, metric="l2")
    assert (other["k-distance"] <= features["k-distance"][:5] + 1e-6).all()


def test_masses_are_carried_at_least_cost() -> None:
    a, b = np.array([[0.0], [1.0]]), np.array([[1.0], [3.0]])
    assert _carried(a, b) == pytest.approx(1.5)


def test_bridges_between_groups_curve_the_other_way(rng) -> None:
    left, right = rng.standard_normal((2, 40, 2)) * 0.5
    bridge = np.linspace([2.0, 0.0], [8.0, 0.0], 7)
    X = np.concatenate([left, right + np.array([10, 0]), bridge])
    found = measure.ricci(X, 4, metric="l2", sample=None)
    assert found.of_rows[82:85].mean() < found.of_rows[:80].mean()
    same = measure.compare_curvature(X, X * 3, 4, metric="l2")
    assert same.value == pytest.approx(1.0)


def test_layers_are_profiled_with_a_control_and_a_loss(rng) -> None:
    clouds = [
        [rng.standard_normal((40, m)) @ rng.standard_normal((m, 12)) for m in (1 + i, 6)]
        for i in range(6)
    ]
    found = measure.layer_profile(clouds, losses=np.arange(6.0), shuffled=clouds)
    assert found.with_loss[0].value > 0.7
    np.testing.assert_array_equal(found.shuffled, found.dimension)
    assert np.isnan(found.overlap[-1])
    with pytest.raises(ShapeError, match="as many layers"):
        measure.layer_profile([clouds[0], clouds[1][:1]])


def test_parts_of_hidden_states_sum_back_and_shares_to_one(rng) -> None:
    waves = np.sin(np.linspace(0, 3, 50)[:, None] + np.arange(8))
    topics = np.repeat([0, 1], 10)
    ctx = 3 * rng.standard_normal((2, 8))[topics] + 0.3 * rng.standard_normal((20, 8))
    h = 5 + waves[None] + ctx[:, None] + 0.1 * rng.standard_normal((20, 50, 8))
    found = measure.position_context(h, topics=topics)
    back = found.mu + found.pos + found.ctx[:, None] + found.resid
    np.testing.assert_allclose(back, h, atol=1e-12)
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert found.smoothness > 0.95
    assert found.clustered == 1.0
    assert found.rank < 4


def test_coordinates_of_the_domain_are_left_out(rng) -> None:
    n = 1200
    domains, y = rng.integers(0, 3, n), rng.integers(0, 2, n)
    X = 0.4 * rng.standard_normal((n, 12))
    X[:, 0] += y
    # Coordinates 1 and 2 go with the label in two domains, and against it in the third.
    X[:, 1:3] += np.where(domains == 2, 1 - y, y)[:, None] + 6.0 * domains[:, None]
    found = measure.restrict(X, y, domains)
    assert 0 in found.kept
    assert not {1, 2} & set(found.kept.tolist())
    assert found.out_of_domain.max() > found.out_of_domain[0]


def test_replaced_words_move_mean_vectors_within_the_bound(rng) -> None:
    words = [f"w{i}" for i in range(50)]
    table = dict(zip(words, rng.standard_normal((50, 6)), strict=True))
    diameter = max(np.linalg.norm(a - b) for a in table.values() for b in table.values())
    texts = [" ".join(rng.choice(words, n)) for n in rng.integers(8, 80, 60)]

    def mean(texts: list[str]) -> np.ndarray:
        return np.array([np.mean([table[w] for w in t.split()], axis=0) for t in texts])

    found = measure.text_robustness(mean, texts, bound=lambda k, n: diameter * k / n)
    assert found.violations == 0
    assert found.with_length < -0.5
    assert (np.diff(found.moves) > 0).all()
    tight = measure.text_robustness(mean, texts, bound=lambda k, n: 0.2 * diameter * k / n)
    assert tight.violations > 0


def test_a_true_uncertainty_beats_chance_and_a_random_one_does_not(rng) -> None:
    y = rng.integers(0, 3, 600)
    blur = rng.uniform(0.1, 2.5, 600)
    X = 2 * np.eye(3)[y] + blur[:, None] * rng.standard_normal((600, 3))
    assert measure.uncertainty(X, y, blur, metric="l2").low > 0.55
    found = measure.uncertainty(X, y, rng.random(600), metric="l2")
    assert found.low < 0.5 < found.high
    with pytest.raises(ParameterError, match="nothing to tell apart"):
        measure.uncertainty(
            np.repeat(np.eye(2), 5, axis=0) + 0.01 * rng.random((10, 2)), [0] * 5 + [1] * 5
        )


def test_average_precision_is_sklearns_without_ties(rng) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    scores, good = rng.random(50), rng.random(50) > 0.7
    assert average_precision(scores, good) == pytest.approx(
        metrics.average_precision_score(good, scores)
    )


def test_a_ring_is_reconstructed_from_its_circle_hop_by_hop() -> None:
    angle = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    X = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    ring = np.stack([np.arange(30), (np.arange(30) + 1) % 30], axis=1)
    found = measure.reconstruct_graph(ring, X, hops=3, sample=None)
    assert [one.value for one in found] == [1.0, 1.0, 1.0]
    assert found[0].parts["chance"] == pytest.approx(2 / 29)
    matrix = np.zeros((30, 30))
    matrix[ring[:, 0], ring[:, 1]] = 1
    assert measure.reconstruct_graph(matrix, X, hops=1)[0].value == 1.0


def test_norms_that_vectors_hold_are_read_by_kind(rng) -> None:
    X = rng.standard_normal((300, 8))
    norms = np.column_stack([X[:, 0] > 0.3, X[:, 1] > 0.5, rng.random((300, 2)) > 0.7])
    found = measure.feature_norms(X, norms, kinds=["held", "held", "noise", "noise"])
    assert found.by_kind["held"] > 0.8 > found.by_kind["noise"]
    rare = measure.feature_norms(X, np.column_stack([norms, np.zeros(300)]))
    assert rare.n_left_out == 1


def test_tables_are_the_same_in_any_order_for_a_bag_and_not_for_a_list() -> None:
    tables = [
        {"city": ["Paris", "Rome", "Oslo", "Bonn"], "n": [2, 3, 1, 5]},
        {"a": [1, 2, 3, 4], "b": [4, 3, 2, 1], "c": [7, 7, 8, 9]},
    ]

    def bag(tables: list[dict[str, list]]) -> np.ndarray:
        found = np.zeros((len(tables), 32))
        for row, table in zip(found, tables, strict=True):
            for values in table.values():
                for value in values:
                    row[sum(map(ord, str(value))) % 32] += 1
        return found + 1e-3

    def listed(tables: list[dict[str, list]]) -> np.ndarray:
        found = np.ones((len(tables), 8))
        for row, table in zip(found, tables, strict=True):
            for i, values in enumerate(table.values()):
                row[i] = 10 * (sum(map(ord, str(values[0]))) % 7)
        return found

    same = measure.table_consistency(bag, tables)
    assert same.row_order.value == pytest.approx(1.0)
    assert same.column_order.value == pytest.approx(1.0)
    assert same.sample.value < 1.0
    assert measure.table_consistency(listed, tables).row_order.value < 0.999


def test_dependencies_that_hold_are_told_from_those_that_do_not(rng) -> None:
    names = ["x", "y", "z"] * 4
    other = [str(i) for i in range(12)]
    vectors = {n: rng.standard_normal(5) for n in set(names) | set(other)}
    for n in "xyz":
        vectors[n.upper()] = vectors[n] + 1.0
    table = {"low": names, "high": [n.upper() for n in names], "row": other}

    def embed(tables: list[dict[str, list]]) -> np.ndarray:
        return np.array(
            [np.mean([vectors[v] for values in t.values() for v in values], axis=0) for t in tables]
        )

    wanted = [(0, "low", "high", True), (0, "low", "row", False)]
    found = measure.table_consistency(embed, [table], dependencies=wanted)
    assert found.dependency.value == 1.0
    with pytest.raises(ParameterError, match="no two columns"):
        measure.table_consistency(embed, [table], dependencies=[(0, "low", "none", True)])


def test_items_that_moved_come_first(rng) -> None:
    X = rng.standard_normal((300, 10))
    Y = X @ np.linalg.qr(rng.standard_normal((10, 10)))[0] + 0.05 * rng.standard_normal(X.shape)
    Y[[4, 99]] = rng.standard_normal((2, 10))
    found = measure.concept_shift(X, np.pad(Y, ((0, 0), (0, 3))))
    assert set(found.order[:2].tolist()) == {4, 99}
    assert np.median(found.shift) < 0.05


def test_models_are_grouped_by_their_answers(rng) -> None:
    X, Q = rng.standard_normal((200, 8)), rng.standard_normal((30, 8))
    near = (X + 0.2 * rng.standard_normal(X.shape), Q)
    far = (rng.standard_normal((200, 5)), rng.standard_normal((30, 5)))
    found = measure.compare_models({"a": (X, Q), "far": far, "b": near}, ks=[1, 10])
    assert found.nearest("a") == "b"
    assert found.cka[0, 2] > found.cka[0, 1]
    assert found.groups[0, :2].tolist() == [0.0, 2.0]
    assert "Jaccard@10" in str(found)
    assert "a – b" in found.plot().svg


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: measure.uniformity(x, t=0), ParameterError, "above 0"),
        (lambda x: measure.lidar(x, range(len(x))), ParameterError, "two views"),
        (lambda x: measure.precision_recall(x, x[:3]), ShapeError, "new has 3 rows"),
        (lambda x: measure.match_dimensions(x, x[:5]), ShapeError, "row"),
        (lambda x: measure.cosine_audit(x, x[:4]), ShapeError, "more than k=10"),
        (lambda x: measure.ridge_factors(x, 99, 0.1), ParameterError, "at most"),
        (lambda x: measure.local_topology(x[:3]), ShapeError, "at least 3"),
        (lambda x: measure.ricci(x[:5], 9), ShapeError, "needs more"),
        (lambda x: measure.position_context(x), ShapeError, "contexts, positions, dim"),
        (lambda x: measure.position_context(np.ones((3, 4, 2))), ParameterError, "all hidden"),
        (lambda x: measure.restrict(x, [0, 1] * 20, [0] * 40), ParameterError, "domains are all"),
        (lambda x: measure.text_robustness(len, ["a b"]), ShapeError, "0 texts"),
        (lambda x: measure.reconstruct_graph([[0, 99]], x), ParameterError, "below 40"),
        (lambda x: measure.reconstruct_graph(np.zeros((40, 40)), x), ParameterError, "no edges"),
        (lambda x: measure.feature_norms(x, np.ones((40, 2))), ParameterError, "no feature"),
        (lambda x: measure.table_consistency(len, [{"a": [1]}]), ShapeError, "two columns"),
        (lambda x: measure.concept_shift(x[:3], x[:3]), ShapeError, "at least 4"),
        (lambda x: measure.compare_models({"a": (x, x)}), ParameterError, "two models"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(rng, call, error, words) -> None:
    with pytest.raises(error, match=words):
        call(rng.standard_normal((40, 6)))


def test_comparisons_draw_themselves_and_are_plain_data(rng) -> None:
    X = rng.standard_normal((200, 6))
    Y = X + 0.3 * rng.standard_normal(X.shape)
    found = [
        measure.svcca(X, Y),
        measure.neighbour_overlap(X, Y),
        measure.evaluate_retrieval(
            {"q": {"d": 1}, "p": {"e": 1}},
            {"q": {"d": 1.0, "e": 0.5}, "p": {"d": 1.0, "e": 0.5}},
            metrics=["nDCG@10"],
        ),
        measure.intrinsic_dimension(X, "twonn"),
        measure.isotropy(X),
        measure.hubness(X),
    ]
    for one in found:
        assert one.plot().svg.startswith("<svg")
        assert "nan" not in one.plot().svg
        assert isinstance(one.to_dict(), dict)


def test_ricci_flow_cuts_what_distance_alone_would_not(rng) -> None:
    groups = np.repeat(np.arange(3), 40)
    X = 7.0 * np.eye(3)[groups] + rng.standard_normal((120, 3))
    X[[0, 40, 80]] = [[2.4, 2.4, 2.2], [2.3, 2.4, 2.4], [2.4, 2.2, 2.4]]  # in the middle: bridges
    found = measure.ricci_communities(X, 6, metric="l2")
    pure = [len(set(groups[found.labels == label].tolist())) == 1 for label in range(3)]
    assert all(pure)
    assert found.modularity > 0.4
    assert (np.diff(np.bincount(found.labels)) <= 0).all()
    even = measure.ricci_communities(rng.uniform(0, 1, (120, 3)), 6, metric="l2")
    assert even.modularity < found.modularity
    with pytest.raises(ShapeError, match="needs more"):
        measure.ricci_communities(X[:5], 8)
