# SPDX-License-Identifier: Apache-2.0
"""What MTEB asks of an encoder and of a search, and, where it is installed, a task of its run."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.clients.mteb import MtebEncoder, MtebSearch
from vectorloom.errors import NotFittedError, ParameterError

WORDS = ("heist", "lyon", "bus", "slow", "letters", "turin")
CORPUS = [
    {"id": "d1", "title": "Heist", "text": "in Lyon"},
    {"id": "d2", "title": "", "text": "a bus that must not slow down"},
    {"id": "d3", "title": "Letters", "text": "from Turin to Lyon"},
    {"id": "d4", "title": "", "text": "nothing that is known"},
]
QUERIES = [{"id": "q1", "text": "heist"}, {"id": "q2", "text": "slow bus"}]
TRUTH = {"q1": {"d1": 1}, "q2": {"d2": 1}}


def counts(texts):
    return np.array([[text.lower().count(word) for word in WORDS] for text in texts], np.float32)


def test_an_encoder_encodes_batches_in_their_order():
    encoder = MtebEncoder(counts, "me/counts")
    batches = [{"text": ["heist in Lyon", "bus"]}, {"text": ["Turin"]}]
    found = encoder.encode(iter(batches), task_metadata=None, hf_split="test", hf_subset="default")
    np.testing.assert_array_equal(found, counts(["heist in Lyon", "bus", "Turin"]))
    assert found.dtype == np.float32
    cosines = encoder.similarity(found, found[:2])
    assert cosines.shape == (3, 2)
    np.testing.assert_allclose(cosines, [[1, 0], [0, 1], [0, 0]], atol=1e-6)
    np.testing.assert_allclose(encoder.similarity_pairwise(found, found), np.ones(3), atol=1e-6)
    assert encoder.similarity(np.zeros((1, 6)), found).tolist() == [[0, 0, 0]]


def test_a_model_of_this_library_is_an_encoder():
    texts = [f"{w} {v}" for w in WORDS for v in WORDS]
    model = vl.learn.LatentSemantic(n_components=3).fit(texts)
    found = MtebEncoder(model, "me/lsa").encode([{"text": texts[:4]}])
    np.testing.assert_array_equal(found, model.transform(texts[:4]))


def test_a_search_answers_by_vectors_and_by_words():
    search = MtebSearch(counts, "me/counts")
    search.index(CORPUS, task_metadata=None, hf_split="test", hf_subset="default")
    found = search.search(QUERIES, top_k=10)
    assert list(found) == ["q1", "q2"]
    assert max(found["q1"], key=found["q1"].get) == "d1"
    assert found["q1"]["d1"] == pytest.approx(np.sqrt(0.5))
    assert max(found["q2"], key=found["q2"].get) == "d2"
    assert "d4" not in found["q1"]  # it has no direction
    words = MtebSearch(None, "me/bm25")
    words.index(CORPUS)
    assert list(words.search(QUERIES, top_k=10)["q2"]) == ["d2"]


def test_given_documents_alone_are_ranked_and_unknown_queries_have_no_hits():
    search = MtebSearch(counts, "me/counts")
    search.index(CORPUS)
    found = search.search(
        [*QUERIES, {"id": "q3", "text": "unheard of"}], top_k=5, top_ranked={"q1": ["d3", "d1"]}
    )
    assert list(found["q1"]) == ["d1", "d3"]
    assert found["q2"] == found["q3"] == {}


def test_documents_are_forgotten_by_the_next_index():
    search = MtebSearch(counts, "me/counts")
    search.index(CORPUS)
    search.index([{"id": "other", "text": "heist"}])
    assert search.search(QUERIES[:1], top_k=5) == {"q1": {"other": 1.0}}


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(NotFittedError, match="index first"):
        MtebSearch(counts, "me/counts").search(QUERIES, top_k=1)
    with pytest.raises(ParameterError, match="no documents"):
        MtebSearch(counts, "me/counts").index([])
    with pytest.raises(ParameterError, match="encode"):
        MtebEncoder(3, "me/three")
    with pytest.raises(ParameterError, match="1 vectors for 2 texts"):
        MtebEncoder(lambda texts: [[1.0]], "me/short").vectors(["a", "b"])


def test_mteb_runs_a_task_with_each(tmp_path):
    mteb = pytest.importorskip("mteb")
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.models.models_protocols import EncoderProtocol, SearchProtocol

    class Films(AbsTaskRetrieval):
        metadata = mteb.get_task("NFCorpus").metadata.model_copy(update={"name": "Films"})

        def load_data(self, *args, **kwargs):
            held = {
                "corpus": Dataset.from_list(CORPUS), "queries": Dataset.from_list(QUERIES),
                "relevant_docs": TRUTH, "top_ranked": None,
            }  # fmt: skip
            self.dataset = {"default": {"test": held}}
            self.data_loaded = True

    encoder, search = MtebEncoder(counts, "me/counts"), MtebSearch(counts, "me/counts-store")
    words = MtebSearch(None, "me/bm25")
    assert isinstance(encoder, EncoderProtocol)
    assert not isinstance(encoder, SearchProtocol)
    assert isinstance(search, SearchProtocol)
    assert not isinstance(search, EncoderProtocol)
    for model in (encoder, search, words):
        result = mteb.evaluate(
            model, Films(), cache=None, co2_tracker=False, show_progress_bar=False
        )
        scores = result.task_results[0].scores["test"][0]
        assert scores["ndcg_at_10"] == 1.0
        assert result.model_name == model.name
