# SPDX-License-Identifier: Apache-2.0
"""Encoders and collections as MTEB measures them; needs ``vectorloom[mteb]`` to be run by it.

Both have the methods that MTEB asks for (its ``EncoderProtocol`` and ``SearchProtocol``) and derive
from nothing of it.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import NotFittedError, ParameterError
from vectorloom.io.faults import missing_package
from vectorloom.store import Collection, collection
from vectorloom.vectors import as_dense

_BATCH = 4096
_K_MOST = 1_000_000


class MtebEncoder:
    """An encoder as MTEB's ``EncoderProtocol``.

    Parameters
    ----------
    model : object or callable
        Has ``encode(list_of_texts)`` or, as models of `vectorloom.learn`, ``transform``; or is
        called with a list of texts. One vector a text comes back.
    name : str
        Under which MTEB files results: ``"organization/model"``.
    revision : str, default="1"

    Notes
    -----
    Similarity is the cosine, 0 for vectors of zero length. Prompts and instructions of MTEB are not
    passed on.

    Examples
    --------
    >>> encoder = MtebEncoder(lambda texts: [[len(t), 1.0] for t in texts], name="me/lengths")
    >>> encoder.encode([{"text": ["one", "three"]}])
    array([[3., 1.],
           [5., 1.]], dtype=float32)
    """

    def __init__(self, model: Any, name: str, revision: str = "1") -> None:
        self._call = _encoding(model)
        self.name, self.revision = name, revision

    def encode(self, inputs: Iterable[Mapping[str, Any]], **_: Any) -> NDArray[np.float32]:
        """Return one vector a text.

        Parameters
        ----------
        inputs : iterable of {"text": list of str}
            Batches, as MTEB's data loader has them.

        Returns
        -------
        ndarray of shape (n, dim), float32
        """
        parts = [self.vectors(list(batch["text"])) for batch in inputs]
        if not parts:
            raise ParameterError("inputs has no batches; there is nothing to encode.")
        return np.concatenate(parts)

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector a text, shape (n, dim), float32."""
        found: NDArray[np.float32] = as_dense(
            self._call(list(texts)), name="vectors of the encoder"
        )
        if len(found) != len(texts):
            raise ParameterError(
                f"the encoder {self.name!r} gave {len(found)} vectors for {len(texts)} texts."
            )
        return found

    def similarity(self, embeddings1: Any, embeddings2: Any) -> NDArray[np.float32]:
        """Return the cosine of each of the first with each of the second."""
        return _unit(embeddings1) @ _unit(embeddings2).T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> NDArray[np.float32]:
        """Return the cosine of each of the first with the one at its place in the second."""
        products: NDArray[np.float32] = (_unit(embeddings1) * _unit(embeddings2)).sum(axis=1)
        return products

    @property
    def mteb_model_meta(self) -> Any:
        """What MTEB files results under."""
        return _meta(self.name, self.revision, ["dense"])


class MtebSearch:
    """A collection as MTEB's ``SearchProtocol``: documents are stored, queries searched there.

    Parameters
    ----------
    model : object, callable, or None
        As for `MtebEncoder`; None searches by words (BM25).
    name : str
        Under which MTEB files results: ``"organization/model"``.
    revision : str, default="1"
    recall, exact
        See `Collection.search`.
    optimize : bool, default=True
        Index all documents before the first query, so that each is one walk.
    kwargs
        Passed to `vectorloom.collection`: ``dtype``, ``n_jobs``, ….

    Notes
    -----
    Each call of `index` stores its documents in a folder of its own, removed with the object or by
    the next call. Texts are a document's title and text. Documents that the encoder gives a zero
    vector (no known word) are never found under the cosine.
    """

    def __init__(
        self,
        model: Any,
        name: str,
        revision: str = "1",
        *,
        recall: float | None = None,
        exact: bool = False,
        optimize: bool = True,
        **kwargs: Any,
    ) -> None:
        self._encoder = None if model is None else MtebEncoder(model, name, revision)
        self.name, self.revision = name, revision
        self._effort: dict[str, Any] = {"recall": recall, "exact": exact}
        self._optimize = optimize
        self._settings = kwargs
        self._points: Collection | None = None
        self._let_go: Callable[[], Any] = lambda: None

    def index(self, corpus: Iterable[Mapping[str, Any]], **_: Any) -> None:
        """Store the documents of a task.

        Parameters
        ----------
        corpus : iterable of {"id", "title", "text"}
        """
        self._let_go()
        self._points = None
        folder = tempfile.TemporaryDirectory(prefix="vectorloom-mteb-")
        points: Collection | None = None
        try:
            for part in _parts(corpus):
                ids = [str(row["id"]) for row in part]
                texts = [_whole(row) for row in part]
                vectors, kept = self._vectors(texts)
                if points is None:
                    width = 1 if vectors is None else vectors.shape[1]
                    points = collection(Path(folder.name) / "c", width, **self._settings)
                if vectors is None:  # by words: a collection has a vector a point
                    vectors = np.ones((len(part), 1), np.float32)
                points.upsert([ids[i] for i in kept], vectors, None, [texts[i] for i in kept])
            if points is None:
                raise ParameterError("the corpus has no documents.")
            if self._optimize and self._encoder is not None:
                points.optimize(quiet=True)
        except BaseException:
            if points is not None:
                points.close()
            folder.cleanup()
            raise
        self._points = points
        self._let_go = weakref.finalize(self, _remove, points, folder)

    def _vectors(self, texts: Sequence[str]) -> tuple[NDArray[np.float32] | None, list[int]]:
        """Return vectors of the texts that have one, and which these are."""
        if self._encoder is None:
            return None, list(range(len(texts)))
        vectors = self._encoder.vectors(texts)
        kept = np.flatnonzero(vectors.any(axis=1))
        return vectors[kept], kept.tolist()

    def search(
        self,
        queries: Iterable[Mapping[str, Any]],
        *,
        top_k: int,
        top_ranked: Mapping[str, Sequence[str]] | None = None,
        **_: Any,
    ) -> dict[str, dict[str, float]]:
        """Return the best documents of each query.

        Parameters
        ----------
        queries : iterable of {"id", "text"}
        top_k : int
        top_ranked : dict of query to documents, default=None
            Rank these alone.

        Returns
        -------
        dict of query to dict of document to score
        """
        if self._points is None:
            raise NotFittedError("this MtebSearch has no documents; call index first.")
        k = max(1, min(top_k, len(self._points), _K_MOST))
        found: dict[str, dict[str, float]] = {}
        for part in _parts(queries):
            ids, texts = [str(row["id"]) for row in part], [str(row["text"]) for row in part]
            found |= {id_: {} for id_ in ids}
            vectors, kept = self._vectors(texts)
            asked: Any = texts if vectors is None else vectors
            if top_ranked is not None:
                for place, i in enumerate(kept):
                    own = {"$id": {"$in": list(top_ranked.get(ids[i], ()))}}
                    found[ids[i]] = self._hits(asked[place : place + 1], k, own)[0]
            elif kept:
                hits = self._hits(asked, k, None)
                found |= {ids[i]: own for i, own in zip(kept, hits, strict=True)}
        return found

    def _hits(self, asked: Any, k: int, where: Any) -> list[dict[str, float]]:
        assert self._points is not None  # asked by search alone
        by = "words" if self._encoder is None else "vectors"
        effort = {} if self._encoder is None else self._effort
        hits = self._points.search(asked, k, where, by=by, payloads=False, **effort)
        return [
            dict(zip(hits[i].ids.tolist(), map(float, hits[i].scores), strict=True))
            for i in range(len(hits))
        ]

    @property
    def mteb_model_meta(self) -> Any:
        """What MTEB files results under."""
        return _meta(self.name, self.revision, ["dense" if self._encoder else "sparse"])


def _encoding(model: Any) -> Callable[[list[str]], Any]:
    for name in ("encode", "transform"):
        found = getattr(model, name, None)
        if callable(found):
            return found  # type: ignore[no-any-return]
    if callable(model):
        return model  # type: ignore[no-any-return]
    raise ParameterError(
        f"model must have encode(texts) or transform(texts), or be callable; got "
        f"{type(model).__name__}."
    )


def _unit(vectors: Any) -> NDArray[np.float32]:
    rows = np.atleast_2d(np.asarray(vectors, np.float32))
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return unit


def _parts(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    part: list[Mapping[str, Any]] = []
    for row in rows:
        part.append(row)
        if len(part) == _BATCH:
            yield part
            part = []
    if part:
        yield part


def _whole(row: Mapping[str, Any]) -> str:
    """Return title and text, joined as MTEB does for encoders."""
    return " ".join(filter(None, (row.get("title"), row["text"]))).strip()


def _remove(points: Collection, folder: tempfile.TemporaryDirectory[str]) -> None:
    points.close()
    folder.cleanup()


def _meta(name: str, revision: str, kinds: list[str]) -> Any:
    try:
        from mteb.models import ModelMeta
    except ImportError as error:
        raise missing_package("mteb", "mteb", "being measured by MTEB") from error
    return ModelMeta.create_empty(
        {"name": name, "revision": revision, "similarity_fn_name": "cosine", "model_type": kinds}
    )
