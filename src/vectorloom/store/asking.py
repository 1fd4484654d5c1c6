# SPDX-License-Identifier: Apache-2.0
"""What a collection answers: searches, look-ups, pages, what it holds."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count
from vectorloom.index.combined.hybrid import Hybrid
from vectorloom.index.effort import checked_effort
from vectorloom.store import moving, reading
from vectorloom.store.encoder import Encoder
from vectorloom.store.engine import Engine
from vectorloom.store.filter_grammar import TEXT
from vectorloom.store.points import FusedHits, PointHits, Points
from vectorloom.store.reading import Leg
from vectorloom.store.schema import Schema
from vectorloom.store.view import Effort, View
from vectorloom.store.words import Words


class Asking:
    """The half of `vectorloom.Collection` that only reads.

    Parameters
    ----------
    engine : Engine
    encoders : dict of int to Encoder
        By field.
    n_jobs : int or None
    """

    def __init__(self, engine: Engine, encoders: dict[int, Encoder], n_jobs: int | None) -> None:
        self._engine = engine
        self._encoders = encoders
        self._n_jobs = n_jobs
        self._words = Words(engine, n_jobs)

    # ---- what it is ----------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The folder."""
        return self._engine.folder

    @property
    def schema(self) -> Schema:
        """Vector fields and declared payload fields."""
        return self._engine.schema

    @property
    def read_only(self) -> bool:
        """Whether this object may only read."""
        return self._engine.read_only

    def __len__(self) -> int:
        return self._engine.current().n_points

    def __contains__(self, id_: object) -> bool:
        return not isinstance(id_, bool | float) and len(self.get([id_], missing="ignore")) == 1

    def __repr__(self) -> str:
        if self._engine.closed:
            return f"Collection({str(self.path)!r}, closed)"
        fields = ", ".join(f"{f.name}: {f.dim} {f.metric}" for f in self.schema.fields)
        mode = ", read-only" if self.read_only else ""
        return f"Collection({str(self.path)!r}, {len(self):,} points, {fields}{mode})"

    def info(self) -> dict[str, Any]:
        """Return what the collection holds and how far its upkeep is, as plain data.

        Returns
        -------
        dict
            ``points``, ``fields``, ``index``, ``fresh_rows`` (in SQLite), ``segments`` (rows, live
            rows, whether each has its graph or lists, damaged blocks), ``bytes`` (of the folder),
            ``lost`` (segments that cannot be opened), ``upkeep_error``.
        """
        view = self._engine.current()
        engine = self._engine
        with engine.lock:
            segments = [
                {
                    "number": part.segment.record.number,
                    "field": engine.schema.fields[place].name,
                    "rows": len(part.segment),
                    "live": part.n_live,
                    "graph": part.segment.is_indexed,
                    "damaged_blocks": sorted(part.segment.damaged),
                }
                for place, parts in enumerate(view.fields)
                for part in parts
                if part.segment is not None
            ]
            lost = list(engine.loader.lost.values())
        fresh = [len(p.rows) for p in view.fields[0] if p.segment is None]
        return {
            "path": str(self.path),
            "points": view.n_points,
            "fields": [field.to_dict() for field in self.schema.fields],
            "index": list(self.schema.index),
            "fresh_rows": sum(fresh),
            "segments": segments,
            "bytes": sum(f.stat().st_size for f in self.path.rglob("*") if f.is_file()),
            "lost": lost,
            "upkeep_error": self._upkeep_error(),
        }

    # ---- reading -------------------------------------------------------------------------------

    def search(
        self,
        query: Any,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        field: str | None = None,
        *,
        by: str | None = None,
        recall: float | None = None,
        ef: int | None = None,
        exact: bool = False,
        payloads: bool = True,
        explain: bool = False,
    ) -> PointHits:
        """Return the k nearest points of each query.

        Parameters
        ----------
        query : array-like of shape (dim,) or (n_queries, dim), or str, or list of str
            Text is encoded with the encoder of the field; without one its words are looked for in
            the stored texts. Of a sparse field: rows of a scipy matrix, or ``{"indices": …,
            "values": …}`` or a list of such; of a field of several vectors: one matrix, or a list
            of them.
        k : int, default=10
        where : mapping, default=None
            Filter, such as ``{"year": {"$gte": 1990}}``; see the guide.
        field : str, default=None
            Which vectors; None takes the first field.
        by : {"vectors", "words"}, default=None
            ``"words"`` ranks stored texts by BM25 (`vectorloom.index.BM25`), whether or not there
            is an encoder.
        recall : float, default=None
            Share of the true nearest to find, as measured when a segment's graph was built; None
            is 0.95, 1.0 looks at all points.
        ef : int, default=None
            In place of `recall`: nodes that a walk keeps.
        exact : bool, default=False
            Look at all points.
        payloads : bool, default=True
            Fetch payloads and texts of the hits.
        explain : bool, default=False
            Say in ``hits.plan`` how each query was answered.

        Returns
        -------
        PointHits
            ``ids, scores = hits``; ``hits.payloads[i]`` belongs to query i. Always min(k, matches)
            hits, best first, ties by id.

        Raises
        ------
        ParameterError, ShapeError
            A query of another dimension, not finite, or zero under cosine; a filter that cannot be
            read; a field without an encoder that is to be asked by text.

        Notes
        -----
        The index of words is made in memory at the first search by words, at about 100 MB of text
        a second, and follows the commits after it. Its hits share a word with the query, so that
        there may be fewer than k.

        Sparse fields and those of several vectors are searched exactly, whatever `recall` is.
        """
        k = check_count("k", k)
        leg = self._leg(query, k, where, field, by, self._effort(recall, ef, exact), payloads)
        hits, plan = self._engine.at_one_commit(leg.ask, reads=leg.reads)
        return hits.explained([plan] * len(hits)) if explain else hits  # type: ignore[return-value]

    def together(
        self,
        queries: Mapping[str, Any],
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        *,
        fusion: str = "rrf",
        weights: Mapping[str, float] | None = None,
        normalise: str = "min-max",
        constant: float = 60.0,
        depth: int = 100,
        recall: float | None = None,
        exact: bool = False,
        payloads: bool = True,
    ) -> FusedHits:
        """Search several fields at once and make one ranking of what they find.

        Parameters
        ----------
        queries : dict of str to query
            What each field is asked, in the forms of `search`; ``"$text"`` is the stored texts by
            their words. As many queries each.
        k : int, default=10
        where : mapping, default=None
            Holds for all of them.
        fusion, weights, normalise, constant, depth
            See `vectorloom.index.Hybrid`; all legs are of one commit.
        recall, exact
            See `search`.
        payloads : bool, default=True

        Returns
        -------
        FusedHits
            With the score and rank that each leg gave to each hit.

        Examples
        --------
        >>> import tempfile
        >>> import vectorloom as vl
        >>> fields = {"meaning": 2, "terms": {"kind": "sparse", "dim": 3}}
        >>> c = vl.collection(tempfile.mkdtemp() + "/c", fields=fields)
        >>> terms = [{"indices": [0], "values": [1.0]}, {"indices": [0, 2], "values": [0.5, 2.0]}]
        >>> c.upsert(["x", "y"], {"meaning": [[1, 0], [0, 1]], "terms": terms})
        2
        >>> hits = c.together({"meaning": [0, 1], "terms": {"indices": [2], "values": [1.0]}}, k=1)
        >>> hits.ids.tolist(), hits.leg_ranks["terms"].tolist()
        ([['y']], [[1]])
        >>> c.close()
        """
        k = check_count("k", k)
        if not hasattr(queries, "items") or not queries:
            raise ParameterError(
                "queries must map fields, or '$text', to what each is asked; got "
                f"{type(queries).__name__}."
            )
        effort = self._effort(recall, None, exact)
        width = max(k, check_count("depth", depth))
        legs = {
            name: self._leg(
                query, width, where, None if name == TEXT else name,
                "words" if name == TEXT else "vectors", effort, False,
            )
            for name, query in queries.items()
        }  # fmt: skip

        def ask(view: View, db: sqlite3.Connection) -> FusedHits:
            found = {name: _Found(leg.ask(view, db)[0]) for name, leg in legs.items()}
            joined = Hybrid(found, fusion, normalise, weights, constant, width)
            hits = joined.search(dict.fromkeys(found, True), k)
            told: tuple[Any, Any] = ([], [])
            if payloads:
                told = reading.contents_by_id(hits, db)
            return FusedHits(
                hits.ids, hits.scores, hits.distances, hits.counts, hits.metric, None, *told,
                hits.leg_scores, hits.leg_ranks,
            )  # fmt: skip

        return self._engine.at_one_commit(ask)

    def get(self, ids: Any, *, missing: str = "raise", vectors: bool = True) -> Points:
        """Return points by id.

        Parameters
        ----------
        ids : list of int64 or str
        missing : {"raise", "ignore"}, default="raise"
        vectors : bool, default=True

        Returns
        -------
        Points
            In the order asked, each id once.

        Raises
        ------
        ParameterError
            An id that is not there.
        FormatError
            A vector lies in a damaged block.
        """
        check_choice("missing", missing, ("ignore", "raise"))
        return reading.get(self._engine, ids, missing, vectors)

    def count(self, where: Mapping[str, Any] | None = None) -> int:
        """Return how many points there are, or how many a filter leaves.

        Parameters
        ----------
        where : mapping, default=None

        Returns
        -------
        int
        """
        return reading.count(self._engine, where)

    def scroll(
        self,
        where: Mapping[str, Any] | None = None,
        *,
        batch: int = 1000,
        vectors: bool = False,
        after: Any = None,
    ) -> Iterator[Points]:
        """Yield all points that a filter leaves, in the order of their ids.

        Parameters
        ----------
        where : mapping, default=None
        batch : int, default=1000
            Points of a page.
        vectors : bool, default=False
        after : id, default=None
            Go on behind this id.

        Yields
        ------
        Points
            Each page is of one commit; later pages see later writes, and no id comes twice.
        """
        check_count("batch", batch)
        return reading.scroll(self._engine, where, batch, vectors, after)

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        where: Mapping[str, Any] | None = None,
        quiet: bool | None = None,
    ) -> int:
        """Write points to a Parquet or Arrow file, which `import_` and `vectorloom.read` read.

        Parameters
        ----------
        path : path-like
            ``.parquet``, or ``.arrow`` / ``.feather`` for Arrow IPC.
        where : mapping, default=None
        quiet : bool, default=None

        Returns
        -------
        int
            Points written: columns ``id``, one of vectors a field, ``payload`` (JSON), ``text``.
        """
        return moving.export_file(self._engine, Path(path), where, quiet)

    # ---- inside --------------------------------------------------------------------------------

    def _effort(self, recall: float | None, ef: int | None, exact: bool) -> Effort:
        ef, wanted = checked_effort("ef", ef, recall)
        return Effort(wanted, ef, exact or wanted == 1.0, self._n_jobs)

    def _leg(
        self,
        query: Any,
        k: int,
        where: Mapping[str, Any] | None,
        field: str | None,
        by: str | None,
        effort: Effort,
        payloads: bool,
    ) -> Leg:
        """Check one question and return what answers it at a commit."""
        self._engine.current()
        place = self.schema.place(field)
        texts = [query] if isinstance(query, str) else query if _is_texts(query) else None
        if by is not None:
            check_choice("by", by, ("vectors", "words"))
        if by == "words" or (texts is not None and by is None and place not in self._encoders):
            if texts is None:
                raise ParameterError("by='words' takes text, or a list of texts, as the query.")
            if field is not None and by is None:
                self._encoder(place)  # says that there is none
            return self._words.asker(texts, k, where, payloads)
        if texts is not None:
            query = self._encoder(place).encode(texts)
        queries = reading.packed_queries(self.schema.fields[place], query)
        return reading.asker(self._engine, place, queries, k, where, effort, payloads)

    def _upkeep_error(self) -> str | None:
        """Return what stopped the upkeep last; None where nothing did."""
        return None

    def _encoder(self, place: int) -> Encoder:
        found = self._encoders.get(place)
        if found is None:
            raise ParameterError(
                f"text was given and the field {self.schema.fields[place].name!r} has no encoder "
                "here. Open the collection with encoder=…, or pass vectors."
            )
        return found

    def _encoded(self, texts: Any) -> dict[str, NDArray[np.float32]]:
        if texts is None or any(text is None for text in texts):
            raise ParameterError(
                "vectors must be given, or a text for each point and an encoder that makes them."
            )
        return {
            field.name: self._encoder(place).encode(texts, field.dim)
            for place, field in enumerate(self.schema.fields)
        }


class _Found:
    """The answer of a leg, as what `Hybrid` asks."""

    def __init__(self, hits: PointHits) -> None:
        self._hits = hits

    def search(self, queries: Any, k: int, where: Any = None) -> PointHits:
        return self._hits


def _is_texts(query: Any) -> bool:
    return isinstance(query, list | tuple) and len(query) > 0 and isinstance(query[0], str)
