# SPDX-License-Identifier: Apache-2.0
"""Sparse sets: the truth is that of dense rows, and generated documents are as stated."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from benchmarks.ann.truth import AnnTruth
from benchmarks.passages import sentences
from benchmarks.peers.vectorloom_inverted import Peer
from benchmarks.sparse_data import splade_like
from benchmarks.suite import DataSpec, read_suite
from scipy import sparse

from benchmarks import data as bench_data

has_queries = pytest.mark.skipif(
    not (
        Path(os.environ.get("VECTORLOOM_DATA", ".")) / "structured/vectors/splade_v3_msmarco_dev"
    ).is_dir(),
    reason="needs the SPLADE-v3 queries below VECTORLOOM_DATA",
)


def test_sparse_and_dense_rows_have_the_same_truth(rng) -> None:
    rows = rng.integers(0, 4, (300, 20)).astype(np.float32)
    queries = rng.integers(0, 4, (9, 20)).astype(np.float32)
    dense = AnnTruth(rows, queries, 5, "ip")
    assert (
        AnnTruth(sparse.csr_matrix(rows), sparse.csr_matrix(queries), 5, "ip").counted
        == dense.counted
    )


def test_the_peer_answers_at_each_of_its_settings(rng, tmp_path: Path) -> None:
    rows = sparse.random(3000, 50, 0.2, "csr", np.float32, rng)
    peer = Peer(threads=1, metric="ip")
    peer.build(rows)
    for ladder in peer.ladders(10):
        peer.apply(ladder[-1])
        assert peer.search(rows[:3], 10).shape == (3, 10)
    peer.save(tmp_path)
    assert (tmp_path / "index").is_file()


def test_sentences_are_of_their_passages() -> None:
    texts = ["One. Two words and three more. Four.", "Short. No. " + "word " * 20]
    assert sorted(sentences(texts, 2)) == sorted(
        ["Two words and three more.", " ".join(texts[1].split()[:15])]
    )


@has_queries
def test_generated_documents_have_the_stated_lengths(tmp_path: Path) -> None:
    documents, queries = splade_like(2000)
    again, _ = splade_like(2000)
    assert (documents != again).nnz == 0
    lengths = np.diff(documents.indptr)
    assert 140 < lengths.mean() < 165
    assert lengths.max() <= 300
    assert queries.shape == (1000, 30_522)
    assert documents.data.min() > 0
    data = bench_data.gather(DataSpec("splade-like", rows=500, queries=30, unit=False), tmp_path)
    assert bench_data.load(data.base).shape == (500, 30_522)
    assert (data.rows, data.n_queries) == (500, 30)


@pytest.mark.parametrize("name", ["splade-20k", "splade-100k", "bm25-index", "bm25-query"])
def test_suites_are_read(name) -> None:
    suite = read_suite(f"suites/sparse/{name}.toml")
    assert suite.methods[0].name.startswith("vectorloom")
    assert suite.smoked().data.rows <= 5000
