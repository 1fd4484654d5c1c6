# SPDX-License-Identifier: Apache-2.0
"""Which column holds the vectors and which the ids: one set of rules for every kind of table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vectorloom.errors import FormatError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

VECTOR_NAMES = ("vectors", "vector", "embeddings", "embedding")
# "" and "Unnamed: 0" are how pandas writes its index to CSV, the last how it does to Parquet.
ID_NAMES = (
    *("id", "ids", "_id", "key", "keys", "word", "words", "token", "doc_id", "docid", "uid"),
    *("", "Unnamed: 0", "__index_level_0__"),
)
_SHOWN = 20


@dataclass(frozen=True)
class Column:
    """A column before it is read: its name and what its cells are.

    ``kind`` is "vector" (a list of floats), "codes" (a list of integers), "float", "int", "text",
    "mixed" (mostly numbers: what is none is an error and not a label) or "other". ``detail`` is
    what an error shows (a type or a shape); ``length`` is that of the first list, where known.
    """

    name: str
    kind: str
    detail: str = ""
    length: int | None = None


@dataclass(frozen=True)
class Choice:
    """The outcome: one column of lists, or several columns of numbers; ids; the rest."""

    vector: str | None
    components: tuple[str, ...]
    ids: str | None
    metadata: tuple[str, ...]


def choose_columns(
    path: Path,
    columns: Sequence[Column],
    vectors: str | Sequence[str] | None,
    ids: str | bool | None,
) -> Choice:
    """Choose the columns, by name when told, else when there is only one sensible choice."""
    by_name = {column.name: column for column in columns}
    ids_name = choose_ids(path, by_name, ids)
    free = [column for column in columns if column.name != ids_name]
    vector: str | None = None
    components: tuple[str, ...] = ()
    if isinstance(vectors, str):
        kind = require_name(path, by_name, vectors, "vectors").kind
        vector, components = (
            (None, (vectors,)) if kind in ("float", "int", "mixed") else (vectors, ())
        )
    elif vectors is not None:
        components = tuple(vectors)
        for name in components:
            require_name(path, by_name, name, "vectors")
        if len(set(components)) != len(components) or not components:
            message = f"vectors= must name each column once; got {list(components)}."
            raise ParameterError(message)
    else:
        vector = _only_list_column(path, free)
        components = () if vector is not None else _component_columns(path, free)
    used = {ids_name, vector, *components}
    rest = tuple(column.name for column in columns if column.name not in used)
    return Choice(vector, components, ids_name, rest)


def choose_ids(path: Path, by_name: dict[str, Column], ids: str | bool | None) -> str | None:
    """Name the column of ids: the one asked for, else the first with a usual name."""
    if ids is False:
        return None
    if isinstance(ids, str):
        require_name(path, by_name, ids, "ids")
        return ids
    usable = {n: c for n, c in by_name.items() if c.kind in ("int", "text", "mixed")}
    lower = {name.lower(): name for name in reversed(list(usable))}
    return next((lower[n.lower()] for n in ID_NAMES if n.lower() in lower), None)


def require_name(path: Path, by_name: dict[str, Column], name: str, argument: str) -> Column:
    """Look a column up, or list those that there are."""
    if name not in by_name:
        message = f"{path}: {argument}={name!r} is not in the file; it has {listing(by_name)}."
        raise ParameterError(message)
    return by_name[name]


def listing(names: Iterable[str]) -> str:
    """Write names for an error, the first twenty of them."""
    known = list(names)
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return ", ".join(repr(n) for n in known[:_SHOWN]) + more if known else "nothing"


def ambiguous(path: Path, candidates: Sequence[Column], argument: str = "vectors") -> Exception:
    """Build the error for several candidates: which they are and which argument decides."""
    shown = [f"{c.name!r} {c.detail}".rstrip() for c in candidates[:_SHOWN]]
    more = f" and {len(candidates) - _SHOWN} more" if len(candidates) > _SHOWN else ""
    return ParameterError(
        f"{path}: {len(candidates)} candidates for the vectors: {', '.join(shown)}{more}. "
        f"Say which with {argument}={candidates[0].name!r}."
    )


def only_candidate(path: Path, candidates: Sequence[Column]) -> str | None:
    """Take the only candidate, else the only one with a usual name, else refuse."""
    if len(candidates) <= 1:
        return candidates[0].name if candidates else None
    named = [c for c in candidates if c.name.lower() in VECTOR_NAMES]
    if len(named) == 1:
        return named[0].name
    raise ambiguous(path, candidates)


def _only_list_column(path: Path, columns: Sequence[Column]) -> str | None:
    # Lists of integers beside a list of floats are token ids or tags, not the vectors.
    floats = [c for c in columns if c.kind == "vector"]
    return only_candidate(path, floats or [c for c in columns if c.kind == "codes"])


def _component_columns(path: Path, columns: Sequence[Column]) -> tuple[str, ...]:
    """Find the vectors that are spread over columns: a numbered series, else all floats."""
    numeric = [c for c in columns if c.kind in ("float", "int", "mixed")]
    if not numeric:
        shown = [f"{c.name!r} {c.detail}".rstrip() for c in columns[:_SHOWN]]
        message = (
            f"{path}: expected a column of vectors (lists of numbers) or columns of numbers; "
            f"found {', '.join(shown) if shown else 'no columns'}."
        )
        raise FormatError(message)
    series: dict[str, list[str]] = {}
    for column in columns:
        match = re.fullmatch(r"(.*?)(\d+)", column.name)
        if match:
            series.setdefault(match[1], []).append(column.name)
    # One odd cell must not drop its column from the series: it stays, and reading names the cell.
    known = {c.name for c in numeric}
    some = (found for found in series.values() if len(found) > 1 and known.intersection(found))
    long = sorted(some, key=len, reverse=True)
    if long and (len(long) == 1 or len(long[0]) > len(long[1])):
        return tuple(long[0])
    kinds = {"float" if c.kind == "mixed" else c.kind for c in numeric}
    # One column of integers beside others is a count or a label, not a vector.
    lone = kinds == {"int"} and len(numeric) == 1 and len(columns) > 1
    if long or lone or len(kinds) > 1:
        which = listing(c.name for c in numeric)
        message = (
            f"{path}: cannot tell which of the columns of numbers are the vector: {which}. "
            f"Name them: vectors={[numeric[0].name, '...']!r}."
        )
        raise ParameterError(message)
    return tuple(c.name for c in numeric)
