# SPDX-License-Identifier: Apache-2.0
"""A collection as the vector store of LlamaIndex; needs ``vectorloom[llama-index]``.

A node is a point: its id the id, its content the text, its metadata the payload, beside what
LlamaIndex needs to make the node again. `MetadataFilters` become filters of collections:

    ==  !=  >  >=  <  <=       the test of that name
    in  nin                    $in, $nin
    contains  text_match       $contains: a list that has it, or text around it
    text_match_insensitive     $icontains
    any  all                   $contains of one, of each of the values
    is_empty                   missing, null, "" or []
    and  or  not               all, one, none of the filters
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.clients.target import PointStore, hits_of_one, require_text_ids
from vectorloom.errors import ParameterError
from vectorloom.index.combined.fusion import normal_scores, pooled, weighted_sums
from vectorloom.io.faults import missing_package
from vectorloom.store import Points

try:
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.indices.query.embedding_utils import get_top_k_mmr_embeddings
    from llama_index.core.schema import BaseNode, MetadataMode, TextNode
    from llama_index.core.vector_stores.types import (
        BasePydanticVectorStore,
        FilterCondition,
        FilterOperator,
        MetadataFilter,
        MetadataFilters,
        VectorStoreQuery,
        VectorStoreQueryMode,
        VectorStoreQueryResult,
    )
    from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict
except ImportError as error:
    raise missing_package(
        "llama-index-core", "llama-index", "the LlamaIndex vector store"
    ) from error

#: The payload field that names the document of a node; worth an index.
REF_DOC_ID = "ref_doc_id"
_MODES = ("default", "hybrid", "text_search", "sparse", "mmr")
_MMR_FACTOR = 4  # as LlamaIndex's own stores fetch
_PAGE = 1000
_PLAIN = {
    FilterOperator.EQ: "$eq",
    FilterOperator.NE: "$ne",
    FilterOperator.GT: "$gt",
    FilterOperator.GTE: "$gte",
    FilterOperator.LT: "$lt",
    FilterOperator.LTE: "$lte",
    FilterOperator.IN: "$in",
    FilterOperator.NIN: "$nin",
    FilterOperator.CONTAINS: "$contains",
    FilterOperator.TEXT_MATCH: "$contains",
    FilterOperator.TEXT_MATCH_INSENSITIVE: "$icontains",
}


class VectorloomVectorStore(BasePydanticVectorStore):
    """LlamaIndex's vector store over a collection, local or remote.

    Parameters
    ----------
    collection : vectorloom.Collection or vectorloom.clients.RemoteCollection
        With text ids; best opened with ``index=["ref_doc_id"]``, by which documents are deleted. It
        is not closed by the store.
    field : str, default=None
        Which vectors are searched; None takes the first field. Adding nodes needs a collection of
        one field.

    Notes
    -----
    The nodes of one call are one commit. Query modes: ``default``; ``text_search`` and ``sparse``
    (BM25 over the stored contents, `vectorloom.index.BM25`); ``hybrid`` (`alpha` times the
    vectors' score and 1 - `alpha` times that of the words, each from 0 for the lowest to 1 for the
    best of its hits; 0.5 unless given); ``mmr``. Similarities are the collection's scores, larger
    is closer.

    Keys of filters with a dot look into nested metadata. Async methods run in a thread.

    Examples
    --------
    >>> from llama_index.core.schema import TextNode
    >>> from llama_index.core.vector_stores.types import VectorStoreQuery
    >>> import tempfile
    >>> import vectorloom as vl
    >>> films = vl.collection(tempfile.mkdtemp() + "/films", dim=2, index=["ref_doc_id"])
    >>> store = VectorloomVectorStore(films)
    >>> store.add([TextNode(id_="bus", text="a bus that must not slow down", embedding=[1, 0])])
    ['bus']
    >>> store.query(VectorStoreQuery(query_embedding=[1.0, 0.1], similarity_top_k=1)).ids
    ['bus']
    """

    stores_text: bool = True
    is_embedding_query: bool = True

    _points: Any = PrivateAttr()
    _field: str | None = PrivateAttr()

    def __init__(self, collection: PointStore, *, field: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._points = collection
        self._field = field

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex knows it by."""
        return "VectorloomVectorStore"

    @property
    def client(self) -> Any:
        """The collection behind it."""
        return self._points

    # ---- writing -------------------------------------------------------------------------------

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Store nodes with their embeddings, replacing those whose ids are there.

        Parameters
        ----------
        nodes : list of BaseNode
            Of nodes with one id the last is stored.

        Returns
        -------
        list of str
            Their ids.
        """
        if not nodes:
            return []
        last = list({node.node_id: node for node in nodes}.values())
        self._points.upsert(
            [node.node_id for node in last],
            np.asarray([node.get_embedding() for node in last], np.float32),
            [node_to_metadata_dict(node, remove_text=True) for node in last],
            [node.get_content(metadata_mode=MetadataMode.NONE) for node in last],
        )
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Remove all nodes of a document."""
        self._points.delete(where={REF_DOC_ID: ref_doc_id})

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """Remove nodes by id, by filters, or by both together; without either none."""
        where = _joined(where_of(filters), _ids_where(node_ids))
        if where:
            self._points.delete(where=where)

    def clear(self) -> None:
        """Remove all nodes."""
        for page in self._points.scroll(batch=_PAGE):
            self._points.delete(page.ids)

    # ---- reading -------------------------------------------------------------------------------

    def get_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """Return nodes by id, by filters, or by both together; without either all.

        Parameters
        ----------
        node_ids : list of str, default=None
        filters : MetadataFilters, default=None

        Returns
        -------
        list of BaseNode
            In the order of `node_ids`, else of their ids; without embeddings.
        """
        where = _joined(where_of(filters), _ids_where(node_ids))
        nodes = [node for page in self._points.scroll(where, batch=_PAGE) for node in _nodes(page)]
        if node_ids is not None:
            by_id = {node.node_id: node for node in nodes}
            return [by_id[id_] for id_ in dict.fromkeys(node_ids) if id_ in by_id]
        return nodes

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Return the nodes nearest to a query.

        Parameters
        ----------
        query : VectorStoreQuery
            Its `filters`, `node_ids` and `doc_ids` hold together.
        kwargs
            ``recall``, ``exact``: see `Collection.search`.

        Returns
        -------
        VectorStoreQueryResult
            Best first, with embeddings in no node.
        """
        mode = VectorStoreQueryMode(query.mode)
        ask: Mapping[str, Callable[..., Any]] = {
            "default": self._by_vector,
            "mmr": self._differing,
            "hybrid": self._hybrid,
            "text_search": self._by_words,
            "sparse": self._by_words,
        }
        if mode.value not in ask:
            raise ParameterError(
                f"the mode {mode.value!r} is not known here; {', '.join(_MODES)} are."
            )
        wanted = [where_of(query.filters), _ids_where(query.node_ids)]
        if query.doc_ids is not None:
            wanted.append({REF_DOC_ID: {"$in": list(query.doc_ids)}})
        ids, scores = ask[mode.value](query, _joined(*wanted), kwargs)
        found = self._points.get(ids, missing="ignore", vectors=False) if len(ids) else None
        nodes = [] if found is None else _nodes(found)
        score_of = dict(zip(ids, scores, strict=True))
        return VectorStoreQueryResult(
            nodes=nodes,
            similarities=[score_of[node.node_id] for node in nodes],
            ids=[node.node_id for node in nodes],
        )

    # ---- the same in a thread, during which other tasks go on -----------------------------------

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """See `add`."""
        return await asyncio.to_thread(self.add, nodes, **kwargs)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """See `delete`."""
        await asyncio.to_thread(self.delete, ref_doc_id, **delete_kwargs)

    async def adelete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """See `delete_nodes`."""
        await asyncio.to_thread(self.delete_nodes, node_ids, filters)

    async def aclear(self) -> None:
        """See `clear`."""
        await asyncio.to_thread(self.clear)

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """See `get_nodes`."""
        return await asyncio.to_thread(self.get_nodes, node_ids, filters)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """See `query`."""
        return await asyncio.to_thread(self.query, query, **kwargs)

    # ---- the modes of a query -------------------------------------------------------------------

    def _by_vector(
        self, query: VectorStoreQuery, where: Any, effort: Mapping[str, Any]
    ) -> tuple[list[str], list[float]]:
        hits = hits_of_one(
            self._points, _embedding(query), query.similarity_top_k, where, self._field, **effort
        )
        require_text_ids(hits.ids)
        return hits.ids.tolist(), hits.scores.tolist()

    def _by_words(
        self, query: VectorStoreQuery, where: Any, effort: Mapping[str, Any]
    ) -> tuple[list[str], list[float]]:
        k = query.sparse_top_k or query.similarity_top_k
        hits = self._points.search(_text(query), k, where, by="words")[0]
        require_text_ids(hits.ids)
        return hits.ids.tolist(), hits.scores.tolist()

    def _hybrid(
        self, query: VectorStoreQuery, where: Any, effort: Mapping[str, Any]
    ) -> tuple[list[str], list[float]]:
        alpha = 0.5 if query.alpha is None else query.alpha
        if not 0.0 <= alpha <= 1.0:
            raise ParameterError(f"alpha must be from 0 (words) to 1 (vectors); got {alpha}.")
        k = query.hybrid_top_k or query.similarity_top_k
        vector = np.asarray(_embedding(query), np.float32)
        legs = {
            "vectors": self._points.search(
                vector, query.similarity_top_k, where, self._field, **effort
            ),
            "words": self._points.search(
                _text(query), query.sparse_top_k or query.similarity_top_k, where, by="words"
            ),
        }
        for hits in legs.values():
            require_text_ids(hits[0].ids)
        pool = pooled(legs, 1)
        metrics = {name: hits.metric for name, hits in legs.items()}
        normal = normal_scores(pool, "min-max", metrics, {})
        total = weighted_sums(normal, {"vectors": alpha, "words": 1.0 - alpha})
        order = np.lexsort((pool.document, -total))[:k]
        return pool.ids[pool.document[order]].tolist(), total[order].tolist()

    def _differing(
        self, query: VectorStoreQuery, where: Any, effort: Mapping[str, Any]
    ) -> tuple[list[str], list[float]]:
        k = query.similarity_top_k
        vector = _embedding(query)
        near = hits_of_one(self._points, vector, _MMR_FACTOR * k, where, self._field, **effort)
        require_text_ids(near.ids)
        if not len(near):
            return [], []
        points = self._points.get(near.ids.tolist(), missing="ignore")
        scores, ids = get_top_k_mmr_embeddings(
            query_embedding=list(vector),
            embeddings=list(self._own_vectors(points)),
            similarity_top_k=min(k, len(points)),
            embedding_ids=points.ids.tolist(),
            mmr_threshold=query.mmr_threshold,
        )
        return list(ids), [float(score) for score in scores]

    def _own_vectors(self, points: Points) -> NDArray[Any]:
        vectors: Any = points.vectors
        if isinstance(vectors, dict):
            schema = self._points.schema
            vectors = vectors[schema.fields[schema.place(self._field)].name]
        found: NDArray[Any] = vectors
        return found


def where_of(filters: MetadataFilters | None) -> dict[str, Any] | None:
    """Return LlamaIndex's filters as a filter of collections; None for none.

    Parameters
    ----------
    filters : MetadataFilters or None

    Returns
    -------
    dict or None

    Raises
    ------
    ParameterError
        An operator that is not known, or a value that it does not take.
    """
    if filters is None or not filters.filters:
        return None
    parts = [
        where_of(each) if isinstance(each, MetadataFilters) else _test_of(each)
        for each in filters.filters
    ]
    kept = [part for part in parts if part is not None]
    if not kept:
        return None
    condition = filters.condition or FilterCondition.AND
    if condition == FilterCondition.NOT:
        return {"$not": {"$or": kept}}
    if len(kept) == 1:
        return kept[0]
    return {"$or" if condition == FilterCondition.OR else "$and": kept}


def _test_of(test: MetadataFilter) -> dict[str, Any]:
    key, value, operator = test.key, test.value, test.operator
    if operator == FilterOperator.IS_EMPTY:
        empty = [{key: {"$exists": False}}, {key: ""}, {key: {"$size": 0}}]
        return {"$or": empty}
    if value is None and operator in (FilterOperator.EQ, FilterOperator.NE):
        return {key: {"$exists": operator == FilterOperator.NE}}
    if operator in (FilterOperator.ANY, FilterOperator.ALL):
        if not isinstance(value, list) or not value:
            raise ParameterError(
                f"{operator.value!r} of {key!r} takes a list of values; got {value!r:.60}."
            )
        each = [{key: {"$contains": one}} for one in value]
        return {"$or" if operator == FilterOperator.ANY else "$and": each}
    if operator not in _PLAIN:
        raise ParameterError(f"{key!r} has the operator {operator!r}, which is not known here.")
    return {key: {_PLAIN[operator]: value}}


def _ids_where(ids: Sequence[str] | None) -> dict[str, Any] | None:
    return None if ids is None else {"$id": {"$in": list(ids)}}


def _joined(*wheres: dict[str, Any] | None) -> dict[str, Any] | None:
    kept = [where for where in wheres if where is not None]
    if len(kept) < 2:
        return kept[0] if kept else None
    return {"$and": kept}


def _nodes(points: Points) -> list[BaseNode]:
    require_text_ids(points.ids)
    return [
        metadata_dict_to_node(payload, text=text)
        if payload is not None and "_node_content" in payload
        else TextNode(id_=id_, text=text or "", metadata=payload or {})  # stored by someone else
        for id_, payload, text in points
    ]


def _embedding(query: VectorStoreQuery) -> list[float]:
    if query.query_embedding is None:
        raise ParameterError(f"the mode {query.mode!r} needs query_embedding.")
    return list(query.query_embedding)


def _text(query: VectorStoreQuery) -> str:
    if not query.query_str:
        raise ParameterError(f"the mode {query.mode!r} needs query_str.")
    return str(query.query_str)
