# SPDX-License-Identifier: Apache-2.0
"""Open a collection, or create it: what was asked for is held against what is stored."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_jobs
from vectorloom.index.memory import parse_bytes
from vectorloom.store import database, upkeep
from vectorloom.store.collection import Collection
from vectorloom.store.encoder import Encoder, as_encoder, require_same_encoder
from vectorloom.store.engine import Engine
from vectorloom.store.lock import WriterLock
from vectorloom.store.schema import Schema, check_index, new_schema, require_same
from vectorloom.store.segment_file import sync_folder


def collection(
    path: str | os.PathLike[str],
    dim: int | None = None,
    metric: str | None = None,
    *,
    index: Sequence[str] | None = None,
    dtype: str | None = None,
    fields: Mapping[str, Any] | None = None,
    encoder: Any = None,
    read_only: bool = False,
    n_jobs: int | None = None,
    memory_limit: int | str | None = None,
) -> Collection:
    """Open the collection in a folder, or create it where there is none.

    Parameters
    ----------
    path : path-like
        The folder.
    dim : int, default=None
        Dimensions of the vectors; needed to create, checked when opening.
    metric : {"cosine", "ip", "l2"}, default=None
        None is ``"cosine"`` for a new collection; when opening, a given one is checked.
    index : list of str, default=None
        Payload fields to be indexed for filters, nested ones by dots (``"place.city"``). New names
        are added to a collection that is there.
    dtype : {"float32", "float16", "int8"}, default=None
        How vectors are stored: 4, 2 or 1 bytes a dimension; answers are scored by the stored
        (rounded) vectors. None is ``"float32"`` for a new collection.
    fields : dict of str to {"dim", "kind", "metric", "dtype"}, default=None
        In place of `dim`: several fields of vectors by name. Every point has something in each.
        ``kind`` is ``"dense"`` unless given; ``"sparse"`` holds weights of `dim` terms, not
        negative, compared by the inner product; ``"multi"`` holds several vectors a point, compared
        by MaxSim of cosines (or inner products).
    encoder : object, callable, Encoder, or dict of field to such, default=None
        Turns texts into vectors. The first one is recorded (name, revision, dimension,
        normalisation, and its vectors of a few texts); another one is refused from then on.
    read_only : bool, default=False
        Open beside a writer; see its commits as they come.
    n_jobs : int, default=None
        Threads of searches and builds; None and -1 take all that the process is allowed.
    memory_limit : int or str, default=None
        Bytes that building a graph may take; see `vectorloom.index.Graph`.

    Returns
    -------
    Collection
        A context manager; `close` it.

    Raises
    ------
    ParameterError
        The collection is of another shape than asked for, or the encoder is another one.
    LockedError
        Another writer has it; the message names the process.
    FormatError
        Damaged, or of a newer version.
    OSError
        No permission; or nothing there and `read_only`.

    Examples
    --------
    >>> import tempfile
    >>> import vectorloom as vl
    >>> folder = tempfile.mkdtemp() + "/films"
    >>> films = vl.collection(folder, dim=2, index=["year"])
    >>> years = [{"year": 1979}, {"year": 1994}, {"year": 2001}]
    >>> films.upsert(["alien", "speed", "amelie"], [[1, 0], [0.9, 0.1], [0, 1]], payloads=years)
    3
    >>> hits = films.search([1, 0], k=2, where={"year": {"$gte": 1990}})
    >>> hits.ids.tolist(), hits.payloads[0][0]
    ([['speed', 'amelie']], {'year': 1994})
    >>> films.close()
    >>> len(vl.collection(folder, read_only=True))
    3
    """
    folder = Path(path).resolve()  # an alias may be switched while this is open
    n_jobs = check_jobs(n_jobs)
    limit = None if memory_limit is None else parse_bytes(memory_limit)
    is_new = not (folder / database.NAME).exists()
    if is_new:
        if read_only:
            raise FileNotFoundError(errno.ENOENT, "there is no collection here", str(folder))
        schema = new_schema(dim, metric or "cosine", dtype or "float32", fields, index or ())
        _create(folder, schema)
    engine = Engine(folder, read_only)
    try:
        if not is_new:
            require_same(engine.schema, dim, metric, dtype, fields)
            _follow_index(engine, index)
        encoders = _encoders(engine, encoder)
        if not read_only:
            upkeep.remove_strays(folder, engine.db)
    except BaseException:
        engine.close()
        raise
    return Collection(engine, encoders, n_jobs, limit)


def _create(folder: Path, schema: Schema) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lock = WriterLock(folder)
    try:
        path = folder / database.NAME
        if path.exists():  # another one was quicker
            return
        temporary = folder / (database.NAME + ".new")
        for old in folder.glob(temporary.name + "*"):
            old.unlink()
        others = [p.name for p in folder.iterdir() if p.name != "writer.lock"]
        if others:
            raise ParameterError(
                f"{folder} is not empty and holds no collection (there is {others[0]!r}); give a "
                "folder of its own."
            )
        database.create(temporary, schema)
        temporary.replace(path)
        sync_folder(folder)
    finally:
        lock.release()


def _follow_index(engine: Engine, index: Sequence[str] | None) -> None:
    """Declare the payload fields that are new."""
    if index is None:
        return
    old = engine.schema
    new = [name for name in check_index(index) if name not in old.index]
    if not new:
        return
    schema = Schema(old.fields, check_index([*old.index, *new]))
    with engine.commit() as db:
        database.add_columns(db, old, schema)
        engine.schema = schema


def _encoders(engine: Engine, encoder: Any) -> dict[int, Encoder]:
    """Check encoders against what is recorded, and record the first."""
    if encoder is None:
        return {}
    by_name = encoder if isinstance(encoder, Mapping) else {engine.schema.fields[0].name: encoder}
    found: dict[int, Encoder] = {}
    for name, model in by_name.items():
        place = engine.schema.place(name)
        field = engine.schema.fields[place]
        if field.kind != "dense":
            raise ParameterError(
                f"the field {name!r} is {field.kind}; encoders are for dense fields. Pass its "
                "vectors to upsert and search."
            )
        made = as_encoder(model)
        offered = made.record(None if field.encoder is not None else field.dim)
        if field.encoder is not None:
            require_same_encoder(field.encoder, offered, name)
        elif not engine.read_only:
            schema = engine.schema.with_encoder(place, offered)
            with engine.commit() as db:
                database.add_columns(db, engine.schema, schema)
                engine.schema = schema
        found[place] = made
    return found
