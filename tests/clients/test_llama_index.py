# SPDX-License-Identifier: Apache-2.0
"""The LlamaIndex store: nodes come back whole, filters mean what LlamaIndex says they mean."""

from __future__ import annotations

import asyncio

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import vectorloom as vl
from vectorloom.errors import ParameterError

pytest.importorskip("llama_index.core")

from llama_index.core.schema import (
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

from vectorloom.clients.llama_index import VectorloomVectorStore, where_of


def node(id_, text, embedding, document="d1", **metadata):
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)}
    return TextNode(
        id_=id_, text=text, embedding=embedding, metadata=metadata, relationships=source
    )


NODES = [
    node("heist", "a heist in Lyon", [1.0, 0.0], "films", year=1962, tags=["old", "fr"]),
    node("bus", "a bus that must not slow down", [0.9, 0.4], "films", year=1994, tags=[]),
    node("letters", "letters from Turin", [0.0, 1.0], "books", year=2001),
    node("atlas", "an atlas of Lyon", [-1.0, 0.1], "books"),
]


@pytest.fixture(params=["library", "server"])
def points(request, tmp_path):
    if request.param == "library":
        with vl.collection(tmp_path / "c", 2, index=["ref_doc_id"]) as found:
            yield found
        return
    pytest.importorskip("httpx")
    from direct_server import served

    with served(tmp_path) as client:
        yield client.create("c", 2, index=["ref_doc_id"])


@pytest.fixture
def store(points):
    made = VectorloomVectorStore(points)
    assert made.query(ask([1.0, 0.0])).ids == []
    assert made.add([]) == []
    assert made.add(NODES) == ["heist", "bus", "letters", "atlas"]
    return made


def ask(vector=None, k=4, **more):
    return VectorStoreQuery(query_embedding=vector, similarity_top_k=k, **more)


def test_nodes_come_back_whole(store):
    found = store.query(ask([1.0, 0.0], 2))
    assert found.ids == ["heist", "bus"]
    assert found.similarities == pytest.approx([1.0, 0.9 / np.hypot(0.9, 0.4)])
    whole = NODES[0].model_copy(update={"embedding": None})
    assert found.nodes[0] == whole
    assert found.nodes[0].ref_doc_id == "films"
    assert store.get_nodes(["letters", "nowhere", "heist"])[1] == whole
    assert asyncio.run(store.aquery(ask([1.0, 0.0], 2))).ids == ["heist", "bus"]


def test_documents_and_nodes_are_deleted(store):
    store.delete("films")
    assert [each.node_id for each in store.get_nodes()] == ["atlas", "letters"]
    store.delete("films")  # silently
    store.delete_nodes()  # nothing was named
    assert len(store.get_nodes()) == 2
    year = MetadataFilters(filters=[MetadataFilter(key="year", value=2001)])
    store.delete_nodes(["atlas"], year)  # both must hold
    assert len(store.get_nodes()) == 2
    store.delete_nodes(["atlas", "nowhere"])
    assert [each.node_id for each in store.get_nodes()] == ["letters"]
    store.clear()
    assert store.get_nodes() == []


def test_async_methods_do_the_same(store):
    async def everything():
        await store.async_add([node("extra", "more", [0.5, 0.5], "more")])
        assert (await store.aquery(ask([0.5, 0.5], 1))).ids == ["extra"]
        await store.adelete("more")
        await store.adelete_nodes(["bus"])
        left = [each.node_id for each in await store.aget_nodes()]
        await store.aclear()
        return left, await store.aget_nodes()

    assert asyncio.run(everything()) == (["atlas", "heist", "letters"], [])


def test_ids_documents_and_filters_hold_together(store):
    assert store.query(ask([1.0, 0.0], node_ids=["atlas", "bus"])).ids == ["bus", "atlas"]
    assert store.query(ask([1.0, 0.0], doc_ids=["books"])).ids == ["letters", "atlas"]
    late = MetadataFilters(
        filters=[MetadataFilter(key="year", value=1990, operator=FilterOperator.GT)]
    )
    assert store.query(ask([1.0, 0.0], filters=late)).ids == ["bus", "letters"]
    assert store.query(ask([1.0, 0.0], filters=late, doc_ids=["books"])).ids == ["letters"]
    assert store.query(ask([1.0, 0.0], node_ids=[])).ids == []


def test_the_last_of_nodes_with_one_id_is_stored(store):
    store.add([node("bus", "first", [1.0, 1.0]), node("bus", "second", [0.0, -1.0])])
    assert store.get_nodes(["bus"])[0].text == "second"
    assert store.query(ask([0.0, -1.0], 1)).ids == ["bus"]


def test_answers_that_differ_from_each_other(store):
    found = store.query(ask([1.0, 0.0], 2, mode="mmr", mmr_threshold=0.1))
    assert found.ids[0] == "heist"
    assert found.ids[1] != "bus"


def test_words_and_both_together(store):
    words = store.query(ask(k=3, query_str="Lyon", mode="text_search"))
    assert set(words.ids) == {"heist", "atlas"}
    both = store.query(ask([0.0, 1.0], 4, query_str="Lyon", mode="hybrid", alpha=0.5))
    assert set(both.ids) == {"heist", "bus", "letters", "atlas"}
    only = store.query(ask([0.0, 1.0], 4, query_str="Lyon", mode="hybrid", alpha=1.0))
    assert only.ids[0] == "letters"
    assert only.similarities[0] == 1.0
    last = store.query(ask([0.0, 1.0], 4, query_str="Lyon", mode="hybrid", alpha=0.0))
    assert set(last.ids[:2]) == {"heist", "atlas"}
    assert list(both.similarities) == sorted(both.similarities, reverse=True)
    with pytest.raises(ParameterError, match="query_str"):
        store.query(ask([0.0, 1.0], mode="hybrid"))
    with pytest.raises(ParameterError, match="query_embedding"):
        store.query(ask(query_str="Lyon"))
    with pytest.raises(ParameterError, match="alpha"):
        store.query(ask([0.0, 1.0], query_str="Lyon", mode="hybrid", alpha=2.0))
    with pytest.raises(ParameterError, match="not known here"):
        store.query(ask([0.0, 1.0], mode="svm"))


def test_points_that_someone_else_stored_are_nodes_too(tmp_path):
    with vl.collection(tmp_path / "c", 2) as points:
        points.upsert(["x"], [[1.0, 0.0]], [{"year": 1990}], ["a text"])
        found = VectorloomVectorStore(points).query(ask([1.0, 0.0])).nodes[0]
        assert (found.node_id, found.text, found.metadata) == ("x", "a text", {"year": 1990})


# ---- filters against LlamaIndex's own reading of them -------------------------------------------

texts = st.sampled_from(["a", "b", "ab", "A", "É", "éa"])
numbers = st.sampled_from([0, 1, 2, 0.5])
metadata = st.fixed_dictionaries(
    {},
    optional={
        "text": st.one_of(texts, st.just(""), st.none()),
        "number": st.one_of(numbers, st.none()),
        "many": st.one_of(st.lists(texts, max_size=3), st.none()),
    },
)


def test_of(key, operators, values):
    return st.builds(
        lambda operator, value: MetadataFilter(key=key, operator=operator, value=value),
        st.sampled_from(operators),
        values,
    )


test_of.__test__ = False
OP = FilterOperator
ORDER = [OP.EQ, OP.NE, OP.GT, OP.GTE, OP.LT, OP.LTE]
leaves = st.one_of(
    test_of("text", ORDER, texts),
    test_of("number", ORDER, numbers),
    test_of("text", [OP.IN, OP.NIN], st.lists(texts, min_size=1, max_size=3)),
    test_of("text", [OP.TEXT_MATCH, OP.TEXT_MATCH_INSENSITIVE, OP.CONTAINS], texts),
    test_of("many", [OP.CONTAINS], texts),
    test_of("many", [OP.ANY, OP.ALL], st.lists(texts, min_size=1, max_size=2)),
    test_of("text", [OP.IS_EMPTY], st.none()),
    test_of("many", [OP.IS_EMPTY], st.none()),
)


def joined(parts):
    return st.builds(
        lambda filters, condition: MetadataFilters(filters=filters, condition=condition),
        st.lists(parts, min_size=1, max_size=3),
        st.sampled_from([FilterCondition.AND, FilterCondition.OR]),
    )


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    with vl.collection(tmp_path_factory.mktemp("filters") / "c", 2) as points:
        yield points


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(metadata, min_size=1, max_size=5), filters=joined(leaves))
def test_filters_mean_what_llama_index_says(scratch, rows, filters):
    reads = build_metadata_filter_fn(lambda i: rows[int(i)], filters)
    expected = [i for i in map(str, range(len(rows))) if reads(i)]
    scratch.delete(where={"$id": {"$exists": True}})
    scratch.upsert([str(i) for i in range(len(rows))], np.ones((len(rows), 2)), rows)
    found = [id_ for page in scratch.scroll(where_of(filters)) for id_ in page.ids.tolist()]
    assert found == expected


def test_nested_and_negated_filters():
    one, two = MetadataFilter(key="a", value=1), MetadataFilter(key="b", value="x")
    inner = MetadataFilters(filters=[one, two], condition="or")
    assert where_of(MetadataFilters(filters=[inner, one])) == {
        "$and": [{"$or": [{"a": {"$eq": 1}}, {"b": {"$eq": "x"}}]}, {"a": {"$eq": 1}}]
    }
    assert where_of(MetadataFilters(filters=[one, two], condition="not")) == {
        "$not": {"$or": [{"a": {"$eq": 1}}, {"b": {"$eq": "x"}}]}
    }
    assert where_of(MetadataFilters(filters=[])) is None
    with pytest.raises(ParameterError, match="list of values"):
        where_of(MetadataFilters(filters=[MetadataFilter(key="a", value="x", operator="any")]))


def test_every_operator_of_llama_index_is_known():
    for operator in FilterOperator:
        value = ["x"] if operator.value in ("in", "nin", "any", "all") else "x"
        where_of(MetadataFilters(filters=[MetadataFilter(key="a", value=value, operator=operator)]))
