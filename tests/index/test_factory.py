# SPDX-License-Identifier: Apache-2.0
"""A factory string makes what it says, or is refused with the nearest one that can be made."""

from __future__ import annotations

import re

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.index.factory import _parsed, from_factory


@pytest.mark.parametrize(
    ("text", "metric", "want"),
    [
        ("Flat", None, "Exact()"),
        ("Flat", "l2", "Exact(metric='l2')"),
        ("SQ8", "ip", "Exact(metric='ip', dtype='int8')"),
        ("SQfp16", None, "Exact(dtype='float16')"),
        ("SQbf16", None, "Exact(dtype='bfloat16')"),
        ("SQ8_direct", "l2", "Exact(metric='l2', dtype='uint8')"),
        ("BFlat", None, "Exact(metric='hamming', dtype='bits')"),
        ("BFlat", "hamming", "Exact(metric='hamming', dtype='bits')"),
        ("IVF100,Flat", "l2", "IVF(metric='l2', n_lists=100)"),
        ("IVF4k,Flat", None, "IVF(n_lists=4096)"),
        ("IVF1M,Flat", None, "IVF(n_lists=1048576)"),
        ("IVF16(Flat),Flat", None, "IVF(n_lists=16)"),
        ("L2norm,Flat", "ip", "Exact()"),
        ("L2norm,IVF16,Flat", None, "IVF(n_lists=16)"),
        ("IDMap,Flat", None, "Exact()"),
        ("IDMap2,IVF16,Flat", None, "IVF(n_lists=16)"),
        ("Flat,IDMap", None, "Exact()"),
        (" IVF16,Flat,RFlat ", None, "IVF(n_lists=16)"),
        ("SQ8,Refine(Flat)", None, "Exact(dtype='int8')"),
        ("PQ32", "l2", "IVF(metric='l2', n_lists=1, rerank=False, code='pq:32')"),
        ("PQ32x4fs,RFlat", None, "IVF(n_lists=1, code='pq:32x4')"),
        ("IVF64,SQ8", None, "IVF(n_lists=64, rerank=False, code='scalar:8')"),
        ("IVF1k,SQ4,RFlat", None, "IVF(n_lists=1024, code='scalar:4')"),
        ("OPQ16,IVF16,PQ16", None, "IVF(n_lists=16, rerank=False, code='opq:16')"),
        ("PCA64,IVF16,RaBitQ2", None, "IVF(n_lists=16, rerank=False, code='pca:64 | rabitq:2')"),
        ("IVF16,RaBitQ", None, "IVF(n_lists=16, rerank=False, code='rabitq')"),
        ("RQ8", None, "IVF(n_lists=1, rerank=False, code='rq:8')"),
    ],
)
def test_a_string_makes_what_it_says(text, metric, want) -> None:
    assert repr(from_factory(text, metric)) == want


@pytest.mark.parametrize(
    ("text", "degree"),
    [
        ("HNSW32", 64),
        ("HNSW16,Flat", 32),
        ("HNSW", 64),
        ("NSG", 32),
        ("NSG48,Flat", 48),
        ("HNSW8,Flat,RFlat", 16),
    ],
)
def test_a_graph_has_the_degree_of_the_bottom_layer(text, degree) -> None:
    plan = _parsed(text)
    assert (plan.make, plan.params) == ("Graph", {"degree": degree})
    index = from_factory(text, "l2")
    assert (index.metric, index.degree) == ("l2", degree)


def test_a_graph_may_store_short_rows() -> None:
    assert _parsed("HNSW32_SQfp16").params == {"degree": 64, "dtype": "float16"}
    assert _parsed("HNSW16_SQ8").params == {"degree": 32, "dtype": "int8"}


def test_links_are_in_the_range_that_graphs_take() -> None:
    for degree in (4, 96):
        vl.index.Graph(degree=degree).fit(np.eye(3))
    for degree in (3, 97):
        with pytest.raises(vl.ParameterError, match="degree must be 4 to 96"):
            vl.index.Graph(degree=degree).fit(np.eye(3))


REFUSED = [
    ("IVF64", "storage"),
    ("IVF64,PQ8x6", "vl.compress.PQ"),
    ("PCA64,Flat", "vl.compress.PCA"),
    ("PCAR64,IVF16,Flat", "vl.compress.PCA"),
    ("OPQ16_64,IVF16,PQ16", "vl.compress.OPQ"),
    ("OPQ8,IVF16,PQ16", "vl.compress.OPQ"),
    ("RaBitQ9", "vl.compress.RaBitQ"),
    ("PRQ2x8", "vl.compress.ResidualQuantizer"),
    ("HNSW32_SQ4", "vl.compress.Scalar"),
    ("HNSW32_SQ8,Flat", ""),
    ("HNSW64", "4 to 96 links a row, not 128"),
    ("HNSW1", "4 to 96 links a row, not 2"),
    ("NSG200,Flat", "not 200"),
    ("HNSW32_PQ16", "vl.compress.PQ"),
    ("HNSW32,SQ8", "float32"),
    ("IMI2x8,Flat", "one level"),
    ("BIVF64", "bits"),
    ("BHNSW32", "bits"),
    ("LSH", "vl.compress.Sign"),
    ("IVF64(IVF8,Flat),Flat", "centroids"),
    ("flat", "nothing of the kind"),
    ("IVF0,Flat", "at least 1"),
    ("HNSW0", "not 0"),
    ("Flat,Flat", ""),
    ("Flat,", ""),
    ("IDMap", "names no index"),
    ("IVF64,Flat,PQ8", "vl.compress.PQ"),
    ("nonsense", "nothing of the kind"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_cannot_be_honoured_is_refused_with_the_nearest_that_can(text, reason) -> None:
    with pytest.raises(vl.ParameterError, match=re.escape(text)) as caught:
        from_factory(text)
    said = str(caught.value)
    assert reason in said
    assert "Supported are 'Flat'" in said
    nearest = re.search(r"nearest supported string is '([^']+)'", said)
    assert nearest is not None
    assert nearest[1] != text
    while nearest is not None:  # it may take two steps: first the transform goes, then the codes
        try:
            _parsed(nearest[1])
            break
        except vl.ParameterError as error:
            nearest = re.search(r"nearest supported string is '([^']+)'", str(error))
    assert nearest is not None


def test_the_named_part_is_the_one_that_is_not_supported() -> None:
    with pytest.raises(vl.ParameterError, match=r"^'LSH' in 'IVF64,LSH' is not supported"):
        from_factory("IVF64,LSH")


def test_a_graph_over_centroids_is_left_out_with_a_word() -> None:
    with pytest.warns(UserWarning, match="'_HNSW32' in 'IVF64_HNSW32,Flat' is not needed"):
        assert repr(from_factory("IVF64_HNSW32,Flat")) == "IVF(n_lists=64)"
    with pytest.warns(UserWarning, match="not needed"):
        assert from_factory("IVF64(HNSW16,Flat),Flat").n_lists == 64


def test_metrics_that_do_not_go_with_a_string_are_refused() -> None:
    for text, metric in (("BFlat", "l2"), ("Flat", "hamming"), ("L2norm,Flat", "l2")):
        with pytest.raises(vl.ParameterError, match="metric"):
            from_factory(text, metric)
    with pytest.raises(vl.ParameterError, match="must be one of 'cosine'"):
        from_factory("Flat", "dot")


def test_parameters_of_the_class_pass_and_others_are_refused() -> None:
    assert from_factory("IVF9,Flat", n_jobs=1, random_state=3).random_state == 3
    with pytest.raises(vl.ParameterError, match="n_lists is given by the string"):
        from_factory("IVF9,Flat", n_lists=4)
    with pytest.raises(vl.ParameterError, match="no parameter 'nlist'; it has metric"):
        from_factory("IVF9,Flat", nlist=4)
    for bad in ("", "  ", None, 32):
        with pytest.raises(vl.ParameterError, match="a factory string is expected"):
            from_factory(bad)


@pytest.mark.parametrize("text", ["Flat", "SQfp16", "IVF8,Flat", "IVF1k,Flat"])
def test_faiss_reads_the_same_string_the_same_way(text, rng) -> None:
    faiss = pytest.importorskip("faiss")
    theirs = faiss.index_factory(8, text, faiss.METRIC_L2)
    ours = from_factory(text, "l2")
    if text.startswith("IVF"):
        assert theirs.nlist == ours.n_lists
        if theirs.nlist > 100:
            return
        theirs.nprobe = theirs.nlist
    x = rng.standard_normal((400, 8)).astype(np.float32)
    theirs.train(x)
    theirs.add(x)
    hits = ours.fit(x).search(x[:20], 5, exact=True)
    distances, ids = theirs.search(x[:20], 5)
    np.testing.assert_array_equal(hits.ids, ids)
    np.testing.assert_allclose(hits.distances, distances, rtol=0.02, atol=2e-2)
