# SPDX-License-Identifier: Apache-2.0
"""A durable collection: vectors, payloads and texts in a folder."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count
from vectorloom.progress import progress
from vectorloom.store import moving, reading, snapshots, upkeep, writing
from vectorloom.store.asking import Asking
from vectorloom.store.encoder import Encoder
from vectorloom.store.engine import Engine
from vectorloom.store.keeping import Keeper
from vectorloom.store.points import checked_ids, packed_payloads
from vectorloom.store.segment import Segment

if TYPE_CHECKING:
    from typing_extensions import Self


class Collection(Asking):
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
        super().__init__(engine, encoders, n_jobs)
        self._memory_limit = memory_limit
        self._keeper: Keeper | None = None
        if not engine.read_only:
            self._keeper = Keeper(engine, n_jobs, memory_limit)
            self._keeper.start()
        self._finalizer = weakref.finalize(self, _shut, engine, self._keeper)

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
            Of a sparse field: a scipy matrix (n, dim), or a list of ``{"indices": …, "values":
            …}``; of one of several vectors a point: a list of matrices, or (values, offsets). None
            encodes `texts` with the encoder of each field.
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
            upkeep.compact(engine, self._build, fully=True)
            bar.advance()
            upkeep.build_graphs(engine, self._n_jobs, self._memory_limit)
            engine.checkpoint(thorough=True)
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

    def _build(self, segment: Segment) -> None:
        segment.build_graph(self._n_jobs, self._memory_limit)

    def _upkeep_error(self) -> str | None:
        return None if self._keeper is None else self._keeper.last_error

    def _wrote(self) -> None:
        if self._keeper is not None:
            self._keeper.wrote()


def _shut(engine: Engine, keeper: Keeper | None) -> None:
    if keeper is not None:
        keeper.stop()
    engine.close()
