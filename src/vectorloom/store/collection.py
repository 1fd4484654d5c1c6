# SPDX-License-Identifier: Apache-2.0
"""A durable collection: vectors, payloads and texts in a folder."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count
from vectorloom.index.effort import checked_effort
from vectorloom.progress import progress
from vectorloom.store import moving, reading, snapshots, upkeep, writing
from vectorloom.store.encoder import Encoder
from vectorloom.store.engine import Engine
from vectorloom.store.points import PointHits, Points, checked_ids, packed_payloads
from vectorloom.store.schema import Schema
from vectorloom.store.view import Effort
from vectorloom.store.words import Words

if TYPE_CHECKING:
    from typing_extensions import Self


class Collection:
    """Points (id, vectors, payload, text) in a folder; made by `vectorloom.collection`.

    One object writes, any number read, in this process and others; all methods may be called from
    several threads. A write returns when it is on the disk, and what was not acknowledged is not
    there at all. A search sees every write that returned before it began, and never half of one.

    Parameters
    ----------
    engine : Engine
    encoders : dict of int to Encoder
        By field.
    n_jobs : int or None
    memory_limit : int or None
        Bytes.

    Notes
    -----
    Vectors of an upsert go into SQLite and are searched exactly; 16,384 of them (or 32 MiB) are
    sealed into an immutable Arrow file, over which a background thread builds a graph when writing
    pauses or enough has come together. Each vector is stored once. Cost of a search: a walk through
    each sealed segment, a scan of what has no graph yet, and of the fresh rows; `optimize` brings
    it to one walk. Opening maps files: milliseconds, whatever their size.

    See Also
    --------
    vectorloom.index.Graph : The same search without ids that persist, payloads and durability.
    """

    def __init__(
        self,
        engine: Engine,
        encoders: dict[int, Encoder],
        n_jobs: int | None,
        memory_limit: int | None,
    ) -> None:
        self._engine = engine
        self._encoders = encoders
        self._n_jobs = n_jobs
        self._memory_limit = memory_limit
        self._words = Words(engine, n_jobs)
        self._keeper: upkeep.Keeper | None = None
        if not engine.read_only:
            self._keeper = upkeep.Keeper(engine, n_jobs, memory_limit)
            self._keeper.start()
        self._finalizer = weakref.finalize(self, _shut, engine, self._keeper)

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
            rows, whether each has a graph, damaged blocks), ``bytes`` (of the folder), ``lost``
            (segments that cannot be opened), ``upkeep_error``.
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
                    "graph": part.segment.graph is not None,
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
            "upkeep_error": None if self._keeper is None else self._keeper.last_error,
        }

    # ---- writing -------------------------------------------------------------------------------

    def upsert(
        self,
        ids: Any,
        vectors: Any = None,
        payloads: Sequence[Mapping[str, Any] | None] | None = None,
        texts: Sequence[str | None] | None = None,
    ) -> int:
        """Store points, replacing whole those whose ids are there; durable when it returns.

        Parameters
        ----------
        ids : array-like of shape (n,), int64 or str
            Unique; of one type for the whole collection.
        vectors : array-like of shape (n, dim), or dict of field to such, default=None
            None encodes `texts` with the encoder of each field.
        payloads : list of mapping or None, default=None
            What JSON holds; dates and times become ISO text (with an offset: UTC).
        texts : list of str or None, default=None

        Returns
        -------
        int
            Points stored.

        Raises
        ------
        ParameterError, ShapeError
            Something in the batch cannot be stored; nothing of it was.
        CapacityError, OSError
            The disk is full or fails; nothing of the batch was stored.

        Notes
        -----
        Batches of 100 to 10,000 points are best: each call is one commit and waits for the disk.
        16,384 points or more in one call go straight into a segment.
        """
        view = self._require_writable()
        if vectors is None:
            vectors = self._encoded(texts)
        batch = writing.checked_batch(self.schema, view.id_type, ids, vectors, payloads, texts)
        if len(batch.ids):
            writing.store_batch(self._engine, batch)
            self._wrote()
        return len(batch.ids)

    def set_payloads(self, ids: Any, payloads: Sequence[Mapping[str, Any] | None]) -> None:
        """Replace the payloads of points that are there, and leave vectors and texts.

        Parameters
        ----------
        ids : array-like of shape (n,), int64 or str
        payloads : list of mapping or None

        Raises
        ------
        ParameterError, ShapeError
            An id that is not there, or a payload that cannot be stored; nothing is changed.
        """
        view = self._require_writable()
        listed = checked_ids(ids, None, view.id_type)
        packed = packed_payloads(payloads, len(listed))
        if len(listed):
            writing.replace_payloads(self._engine, listed, packed)
            self._wrote()

    def delete(
        self, ids: Any = None, *, where: Mapping[str, Any] | None = None, missing: str = "ignore"
    ) -> int:
        """Remove points by id, or all that a filter leaves; durable when it returns.

        Parameters
        ----------
        ids : array-like of int64 or str, default=None
        where : mapping, default=None
            In place of `ids`.
        missing : {"ignore", "raise"}, default="ignore"
            What to do about ids that are not there; ``"raise"`` removes nothing then.

        Returns
        -------
        int
            Points removed.
        """
        view = self._require_writable()
        check_choice("missing", missing, ("ignore", "raise"))
        if (ids is None) == (where is None):
            raise ParameterError("give either ids or where to say what is to be deleted.")
        wanted = reading.compiled(self._engine, where)
        if wanted is not None:
            removed = writing.delete_rows(self._engine, wanted.sql, wanted.parameters)
        else:
            listed = checked_ids(ids, None, view.id_type)
            removed = writing.delete_ids(self._engine, listed, missing)
        self._wrote()
        return removed

    def import_(
        self,
        source: str | os.PathLike[str],
        *,
        ids: str | None = None,
        vectors: str | None = None,
        text: str | None = None,
        batch: int = 16_384,
        resume: bool = True,
        quiet: bool | None = None,
    ) -> int:
        """Upsert all rows of a file that `vectorloom.read` reads.

        Parameters
        ----------
        source : path-like
            Columns beside ids and vectors become payloads; ``payload`` as `export` writes it is
            taken apart again.
        ids, vectors : str, default=None
            Names of columns, where they cannot be guessed. A file without ids gives 0, 1, ….
        text : str, default=None
            Column of texts; ``"text"`` is taken where there is one.
        batch : int, default=16384
            Rows of a commit.
        resume : bool, default=True
            Go on where an import of the same file (path, size and time of change) was cut off.
        quiet : bool, default=None
            See `vectorloom.progress.progress`.

        Returns
        -------
        int
            Rows stored by this call.
        """
        self._require_writable()
        check_count("batch", batch)
        return moving.import_file(
            self._engine, Path(source), ids, vectors, text, batch, resume, quiet, self._wrote
        )

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
            the stored texts.
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
        """
        engine = self._engine
        engine.current()
        k = check_count("k", k)
        ef, wanted = checked_effort("ef", ef, recall)
        place = self.schema.place(field)
        texts = [query] if isinstance(query, str) else query if _is_texts(query) else None
        if by is not None:
            check_choice("by", by, ("vectors", "words"))
        if by == "words" or (texts is not None and by is None and place not in self._encoders):
            if texts is None:
                raise ParameterError("by='words' takes text, or a list of texts, as the query.")
            if field is not None and by is None:
                self._encoder(place)  # says that there is none
            hits, plan = self._words.search(texts, k, where, payloads)
            return hits.explained([plan] * len(texts)) if explain else hits  # type: ignore[return-value]
        if texts is not None:
            query = self._encoder(place).encode(texts)
        queries = reading.packed_queries(self.schema.fields[place], query)
        effort = Effort(wanted, ef, exact or wanted == 1.0, self._n_jobs)
        hits, plan = reading.search(engine, place, queries, k, where, effort, payloads)
        if explain:
            return hits.explained([plan] * len(queries))  # type: ignore[return-value]
        return hits

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

    # ---- upkeep --------------------------------------------------------------------------------

    def optimize(self, quiet: bool | None = None) -> None:
        """Seal, merge and index all now, so that a search is one walk; returns when it is done.

        Parameters
        ----------
        quiet : bool, default=None
            See `vectorloom.progress.progress`.

        Notes
        -----
        The background thread does the same bit by bit; this is for the end of an import. Searches
        and writes go on meanwhile.
        """
        self._require_writable()
        engine = self._engine
        with engine.building, progress("optimizing", total=3, unit="steps", quiet=quiet) as bar:
            upkeep.seal(engine)
            bar.advance()
            upkeep.compact(engine, fully=True)
            bar.advance()
            upkeep.build_graphs(engine, self._n_jobs, self._memory_limit)
            bar.advance()

    def snapshot(self, path: str | os.PathLike[str]) -> Path:
        """Copy the collection, as of now, into a new folder that opens like any other.

        Parameters
        ----------
        path : path-like
            Must not exist; its parent must. It appears when it is whole.

        Returns
        -------
        Path

        Notes
        -----
        Searches and writes go on meanwhile. Restore with `vectorloom.store.restore`, which checks
        every checksum, or open the folder itself.
        """
        return snapshots.take(self._engine, Path(path))

    def close(self) -> None:
        """Stop the background work and let the files go; a second call does nothing."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ---- inside --------------------------------------------------------------------------------

    def _require_writable(self) -> Any:
        self._engine.require_writable()
        return self._engine.current()

    def _wrote(self) -> None:
        if self._keeper is not None:
            self._keeper.wrote()

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


def _is_texts(query: Any) -> bool:
    return isinstance(query, list | tuple) and len(query) > 0 and isinstance(query[0], str)


def _shut(engine: Engine, keeper: upkeep.Keeper | None) -> None:
    if keeper is not None:
        keeper.stop()
    engine.close()
