# SPDX-License-Identifier: Apache-2.0
"""A collection as the vector store of LangChain; needs ``vectorloom[langchain]``.

A document is a point: its ``page_content`` the text, its ``metadata`` the payload, its ``id`` the
id. Scores are those of the collection, larger is closer; relevance is in [0, 1]:

    cosine  (1 + s) / 2        ip  1 / (1 + e^-s)        l2  1 / (1 + sqrt(-s))

of a score s, which under l2 is minus the squared distance.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vectorloom.clients.target import PointStore, hits_of_one, require_text_ids
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.io.faults import missing_package
from vectorloom.store import Points, collection

try:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import VectorStore
    from langchain_core.vectorstores.utils import maximal_marginal_relevance
except ImportError as error:
    raise missing_package("langchain-core", "langchain", "the LangChain vector store") from error

if TYPE_CHECKING:
    import os

_PAGE = 1000
_RELEVANCE: dict[str, Callable[[float], float]] = {
    "cosine": lambda score: min(1.0, max(0.0, (1.0 + score) / 2.0)),
    "ip": lambda score: 0.5 + 0.5 * math.tanh(score / 2.0),  # the same, and never overflows
    "l2": lambda score: 1.0 / (1.0 + math.sqrt(max(0.0, -score))),
}


class VectorloomStore(VectorStore):
    """LangChain's `VectorStore` over a collection, local or remote.

    Parameters
    ----------
    collection : vectorloom.Collection or vectorloom.clients.RemoteCollection
        With text ids. It is not closed by the store.
    embedding : Embeddings
        Encodes documents and queries.
    field : str, default=None
        Which vectors are searched; None takes the first field. Adding documents needs a collection
        of one field.

    Notes
    -----
    A batch of documents is one commit: durable when `add_documents` returns, or nothing of it is
    there. Filters (``filter=``) are those of collections, the same mapping everywhere. Async
    methods run in a thread, during which other tasks go on; collections may be asked by many.

    See Also
    --------
    vectorloom.store.collection.Collection : Named fields, search by words, snapshots.

    Examples
    --------
    >>> from langchain_core.embeddings import DeterministicFakeEmbedding
    >>> import tempfile
    >>> store = VectorloomStore.from_texts(
    ...     ["a heist in Lyon", "letters from Turin"],
    ...     DeterministicFakeEmbedding(size=8),
    ...     [{"year": 1962}, {"year": 2001}],
    ...     path=tempfile.mkdtemp() + "/films",
    ... )
    >>> store.similarity_search("a heist in Lyon", k=1)[0].metadata
    {'year': 1962}
    >>> [d.page_content for d in store.similarity_search("heist", filter={"year": {"$gt": 1990}})]
    ['letters from Turin']
    """

    def __init__(
        self, collection: PointStore, embedding: Embeddings, *, field: str | None = None
    ) -> None:
        self._points = collection
        self._embedding = embedding
        self._field = field

    @property
    def collection(self) -> PointStore:
        """The collection behind it."""
        return self._points

    @property
    def embeddings(self) -> Embeddings:
        """What encodes documents and queries."""
        return self._embedding

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        path: str | os.PathLike[str] | None = None,
        metric: str | None = None,
        index: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> VectorloomStore:
        """Open or create the collection at `path` and store texts in it.

        Parameters
        ----------
        texts : list of str
        embedding : Embeddings
        metadatas : list of dict, default=None
        ids : list of str, default=None
        path : path-like
            The folder of the collection.
        metric, index, kwargs
            Passed to `vectorloom.collection`.

        Returns
        -------
        VectorloomStore
        """
        if path is None:
            raise ParameterError("path must be given: the folder in which documents are kept.")
        vectors = embedding.embed_documents(list(texts) or [" "])
        points = collection(path, len(vectors[0]), metric, index=index, **kwargs)
        store = cls(points, embedding)
        if texts:
            store._add(texts, vectors, metadatas, ids)
        return store

    # ---- writing -------------------------------------------------------------------------------

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Encode and store texts, replacing those whose ids are there.

        Parameters
        ----------
        texts : iterable of str
        metadatas : list of dict, default=None
            What JSON holds.
        ids : list of str or None, default=None
            Missing ones are made. Of texts with one id the last is stored.
        kwargs
            None are known.

        Returns
        -------
        list of str
            An id a text.
        """
        _refuse(kwargs)
        texts = list(texts)
        if not texts:
            return []
        return self._add(texts, self._embedding.embed_documents(texts), metadatas, ids)

    def _add(
        self,
        texts: Sequence[str],
        vectors: Sequence[Sequence[float]],
        metadatas: Sequence[Mapping[str, Any]] | None,
        ids: Sequence[str | None] | None,
    ) -> list[str]:
        for name, given in (("metadatas", metadatas), ("ids", ids)):
            if given is not None and len(given) != len(texts):
                raise ShapeError(f"{len(texts)} texts came with {len(given)} {name}.")
        own = [str(id_ or uuid.uuid4()) for id_ in (ids or [None] * len(texts))]
        last = sorted({id_: place for place, id_ in enumerate(own)}.values())
        payloads = None if metadatas is None else [dict(metadatas[i]) or None for i in last]
        self._points.upsert(
            [own[i] for i in last],
            np.asarray([vectors[i] for i in last], np.float32),
            payloads,
            [texts[i] for i in last],
        )
        return own

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Remove documents by id; ids that are not there are passed over.

        Parameters
        ----------
        ids : list of str, default=None
            None removes all documents, or those that ``filter=`` leaves.

        Returns
        -------
        bool
            True.
        """
        where = kwargs.pop("filter", None)
        _refuse(kwargs)
        if ids is not None:
            if where is not None:
                raise ParameterError("give either ids or filter to say what is to be deleted.")
            if ids:
                self._points.delete(list(ids))
        elif where:
            self._points.delete(where=where)
        else:
            for page in self._points.scroll(batch=_PAGE):
                self._points.delete(page.ids)
        return True

    # ---- reading -------------------------------------------------------------------------------

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return documents by id, in the order asked; those that are not there are left out."""
        if not ids:
            return []
        return _documents(self._points.get(list(ids), missing="ignore", vectors=False))

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the k documents nearest to a text; ``filter=`` narrows them down."""
        return [each for each, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the k documents nearest to a text, with the collection's scores."""
        return self.similarity_search_with_score_by_vector(
            self._embedding.embed_query(query), k, **kwargs
        )

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Return the k documents nearest to a vector."""
        return [
            each for each, _ in self.similarity_search_with_score_by_vector(embedding, k, **kwargs)
        ]

    def similarity_search_with_score_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the k documents nearest to a vector, with the collection's scores.

        Parameters
        ----------
        embedding : list of float
        k : int, default=4
        kwargs
            ``filter`` (a mapping), ``recall``, ``exact``: see `Collection.search`.

        Returns
        -------
        list of (Document, float)
            Best first; larger is closer.
        """
        where = kwargs.pop("filter", None)
        _refuse(kwargs, "recall", "exact")
        hits = hits_of_one(self._points, embedding, k, where, self._field, **kwargs)
        require_text_ids(hits.ids)
        return [
            (Document(id=id_, page_content=text or "", metadata=payload or {}), float(score))
            for id_, text, payload, score in zip(
                hits.ids.tolist(), hits.texts, hits.payloads, hits.scores, strict=True
            )
        ]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Return k of the `fetch_k` nearest documents, chosen to differ from each other."""
        return self.max_marginal_relevance_search_by_vector(
            self._embedding.embed_query(query), k, fetch_k, lambda_mult, **kwargs
        )

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Return k of the `fetch_k` documents nearest to a vector, chosen to differ.

        Parameters
        ----------
        embedding : list of float
        k : int, default=4
        fetch_k : int, default=20
        lambda_mult : float, default=0.5
            1 is relevance alone, 0 difference alone.
        kwargs
            As those of `similarity_search_with_score_by_vector`.

        Returns
        -------
        list of Document
        """
        found = self.similarity_search_by_vector(embedding, max(k, fetch_k), **kwargs)
        if not found:
            return []
        points = self._points.get([each.id for each in found], missing="ignore")
        vectors: Any = points.vectors
        if isinstance(vectors, dict):
            schema = self._points.schema
            vectors = vectors[schema.fields[schema.place(self._field)].name]
        documents = _documents(points)
        chosen = maximal_marginal_relevance(
            np.asarray(embedding, np.float32), list(vectors), lambda_mult, k
        )
        return [documents[i] for i in chosen]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        schema = self._points.schema
        return _RELEVANCE[schema.fields[schema.place(self._field)].metric]


def _documents(points: Points) -> list[Document]:
    require_text_ids(points.ids)
    return [
        Document(id=id_, page_content=text or "", metadata=payload or {})
        for id_, payload, text in points
    ]


def _refuse(kwargs: Mapping[str, Any], *known: str) -> None:
    unknown = sorted(set(kwargs) - set(known))
    if unknown:
        raise ParameterError(
            f"unknown arguments {', '.join(unknown)}; the store takes "
            f"{', '.join(('filter', *known))}."
        )
