# SPDX-License-Identifier: Apache-2.0
"""The LangChain store passes LangChain's own suite, sync and async, and says what scores mean."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError, ShapeError

pytest.importorskip("langchain_core")
suites = pytest.importorskip("langchain_tests.integration_tests")

from langchain_core.documents import Document  # noqa: E402
from langchain_core.embeddings import DeterministicFakeEmbedding  # noqa: E402
from langchain_tests.integration_tests.vectorstores import EMBEDDING_SIZE  # noqa: E402

from vectorloom.clients.langchain import VectorloomStore  # noqa: E402

# LangChain's suite is called here test by test: its own async tests would need a plugin, and a test
# that a plugin skips would look like one that passed.
SUITE = suites.VectorStoreIntegrationTests
TESTS = sorted(
    name
    for name in dir(SUITE)
    if name.startswith("test_") and name != "test_no_overrides_DO_NOT_OVERRIDE"
)


@pytest.fixture(params=["library", "server"])
def points(request, tmp_path):
    """An empty collection, opened here or asked over HTTP."""
    if request.param == "library":
        with vl.collection(tmp_path / "c", EMBEDDING_SIZE) as found:
            yield found
        return
    pytest.importorskip("httpx")
    from direct_server import served

    with served(tmp_path) as client:
        yield client.create("c", EMBEDDING_SIZE)


@pytest.fixture
def store(points):
    return VectorloomStore(points, DeterministicFakeEmbedding(size=EMBEDDING_SIZE))


@pytest.mark.parametrize("name", TESTS)
def test_langchain_suite(name, store):
    suite = SUITE()
    assert suite.has_sync
    assert suite.has_async
    assert suite.has_get_by_ids
    done = getattr(suite, name)(store)
    if asyncio.iscoroutine(done):
        asyncio.run(done)


def test_the_suite_is_whole():
    sync = [name for name in TESTS if not name.endswith("_async")]
    later = [name for name in TESTS if name.endswith("_async")]
    assert len(sync) == len(later) == 12
    assert {f"{name}_async" for name in sync} == set(later)


class Directions:
    """Encodes text as the unit vector at so many degrees."""

    def embed_documents(self, texts):
        angles = np.radians([float(text) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).tolist()

    def embed_query(self, text):
        return self.embed_documents([text])[0]


def of_metric(metric, tmp_path):
    texts = ["0", "60", "90", "180"]
    return VectorloomStore.from_texts(
        texts, Directions(), [{"angle": int(t)} for t in texts], ids=texts,
        path=tmp_path / metric, metric=metric,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "scores", "relevances"),
    [
        ("cosine", [1.0, 0.5, 0.0, -1.0], [1.0, 0.75, 0.5, 0.0]),
        ("ip", [1.0, 0.5, 0.0, -1.0], [1 / (1 + np.exp(-s)) for s in (1, 0.5, 0, -1)]),
        ("l2", [0.0, -1.0, -2.0, -4.0], [1.0, 0.5, 1 / (1 + np.sqrt(2.0)), 1 / 3]),
    ],
)
def test_scores_grow_with_similarity_and_relevance_is_within_0_and_1(
    metric, scores, relevances, tmp_path
):
    store = of_metric(metric, tmp_path)
    found = store.similarity_search_with_score("0", k=4)
    assert [each.id for each, _ in found] == ["0", "60", "90", "180"]
    assert [score for _, score in found] == pytest.approx(scores, abs=1e-6)
    relevant = store.similarity_search_with_relevance_scores("0", k=4)
    assert [score for _, score in relevant] == pytest.approx(relevances, abs=1e-6)
    enough = store.similarity_search_with_relevance_scores("0", k=4, score_threshold=0.6)
    assert all(score >= 0.6 for _, score in enough)
    store.collection.close()


def test_filters_retrievers_and_differing_answers(tmp_path):
    with of_metric("cosine", tmp_path).collection as points:
        store = VectorloomStore(points, Directions())
        near = store.similarity_search("0", k=4, filter={"angle": {"$gte": 90}})
        assert [each.metadata["angle"] for each in near] == [90, 180]
        retriever = store.as_retriever(search_kwargs={"k": 2, "filter": {"angle": {"$lt": 180}}})
        assert [each.page_content for each in retriever.invoke("0")] == ["0", "60"]
        differ = store.max_marginal_relevance_search("0", k=2, lambda_mult=0.0)
        assert [each.page_content for each in differ] == ["0", "180"]
        assert [each.id for each in store.get_by_ids(["90", "nowhere", "0"])] == ["90", "0"]
        assert asyncio.run(store.asimilarity_search("180", k=1))[0].id == "180"


def test_documents_of_one_batch_with_one_id_leave_the_last(store):
    twice = [Document(id="a", page_content="first"), Document(id="a", page_content="second")]
    assert store.add_documents(twice) == ["a", "a"]
    assert [each.page_content for each in store.get_by_ids(["a"])] == ["second"]


def test_delete_by_filter_and_of_everything(store):
    store.add_texts(["a", "b", "c"], [{"n": 1}, {"n": 2}, {}], ids=["a", "b", "c"])
    assert store.delete(filter={"n": {"$gte": 2}})
    assert [each.id for each in store.get_by_ids(["a", "b", "c"])] == ["a", "c"]
    with pytest.raises(ParameterError, match="either ids or filter"):
        store.delete(["a"], filter={"n": 1})
    store.delete([])
    assert len(store.collection) == 2
    store.delete()
    assert store.similarity_search("a") == []


def test_what_cannot_be_meant_is_refused_and_nothing_stored(store):
    with pytest.raises(ShapeError, match="2 texts came with 1 metadatas"):
        store.add_texts(["a", "b"], [{}])
    with pytest.raises(ParameterError, match="unknown arguments batch"):
        store.add_texts(["a"], batch=3)
    with pytest.raises(ParameterError, match="unknown arguments fitler"):
        store.similarity_search("a", fitler={"n": 1})
    with pytest.raises(ParameterError, match="JSON"):
        store.add_texts(["a"], [{"n": {1, 2}}])
    assert len(store.collection) == 0


def test_a_collection_with_numbers_as_ids_is_refused(tmp_path):
    with vl.collection(tmp_path / "c", 2) as points:
        points.upsert([1], [[1.0, 0.0]])
        store = VectorloomStore(points, Directions())
        with pytest.raises(ParameterError, match="text ids"):
            store.similarity_search("0")
        with pytest.raises(ParameterError, match="ids are str"):
            store.add_texts(["0"])
