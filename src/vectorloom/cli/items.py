# SPDX-License-Identifier: Apache-2.0
"""What indexes hold and are asked, out of files: texts, sparse, ragged and dense vectors."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from vectorloom.cli.texts import checked_ids, parsed_texts
from vectorloom.errors import FormatError, ShapeError

#: Texts are searched by words; the others are vectors.
FORMS = ("texts", "sparse", "tokens", "dense")

_SPARSE = {"data", "indices", "indptr", "shape"}  # what scipy.sparse.save_npz writes
_TOKENS = {"values", "offsets"}
_IDS = ("ids", "_id", "id")
_TEXT_SUFFIXES = (".txt", ".text", ".md")
_STDIN = "standard input"


@dataclass(frozen=True, eq=False)
class Items:
    """Documents or queries of one form.

    Attributes
    ----------
    form : {"texts", "sparse", "tokens", "dense"}
    ids : list of int or str, or None
        None where the file has none of its own.
    values
        list of str; csr matrix or list of mappings; `TokenVectors`; ndarray of shape (n, dim).
    """

    form: str
    ids: list[Any] | None
    values: Any

    def __len__(self) -> int:
        return int(self.values.shape[0]) if hasattr(self.values, "shape") else len(self.values)

    def part(self, first: int, last: int) -> Any:
        """Return the values of items first, …, last - 1."""
        if self.form == "tokens":
            return self.values.part(first, min(last, len(self)))
        return self.values[first:last]


def read_items(
    source: str, form: str | None = None, *, vectors: str | None = None, ids: str | None = None
) -> Items:
    """Read items from a file or from standard input.

    Parameters
    ----------
    source : str
        A file, or ``-`` for JSON lines or lines of text.
    form : {"texts", "sparse", "tokens", "dense"} or None
        What is expected; None goes by what the file holds.
    vectors, ids : str or None
        Columns of a file of dense vectors.

    Returns
    -------
    Items

    Raises
    ------
    FormatError, ShapeError, ParameterError
        The file is of another form, or damaged.
    """
    if source == "-":
        try:
            return _from_lines(sys.stdin, _STDIN, form)
        except _DenseLines:
            raise FormatError(
                f"{_STDIN}: expected texts or sparse vectors; found dense ones. Give a file."
            ) from None
    path = Path(source)
    if vectors is None and form != "dense" and _is_zip(path):
        found = _from_npz(path, form)
        if found is not None:
            return found
    elif vectors is None and form != "dense" and (form is not None or _is_text(path)):
        with path.open(encoding="utf-8") as lines:
            try:
                return _from_lines(lines, source, form)
            except UnicodeDecodeError as error:
                raise FormatError(f"{source}: not UTF-8 ({error}); convert the file.") from None
            except _DenseLines:
                pass
    return _dense(path, form, vectors, ids)


class _DenseLines(Exception):  # noqa: N818 - it says what was found, not that something is wrong
    """Lines hold dense vectors."""


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _is_text(path: Path) -> bool:
    """Say whether a file holds lines, and is of no format of vectors by its name."""
    from vectorloom.io.formats import by_suffix

    known = by_suffix(path.suffix.lower())
    if known not in (None, "jsonl"):
        return False
    with path.open("rb") as file:
        return b"\0" not in file.read(4096)


# ---- files of arrays -----------------------------------------------------------------------------


def _from_npz(path: Path, form: str | None) -> Items | None:
    """Return the items of an archive; None where it holds dense vectors, or what `read` refuses."""
    import numpy as np

    from vectorloom.io.arrays import ids_from_array
    from vectorloom.io.faults import guarded

    # NumPy leaves a file that it opened itself open where the archive is damaged.
    with guarded(path, "npz"), path.open("rb") as file, np.load(file) as archive:
        names = set(archive.files)
        here = "sparse" if names >= _SPARSE else "tokens" if names >= _TOKENS else None
        if here is None or form not in (None, here):
            if form in ("sparse", "tokens"):
                _refuse(path, form, f"arrays {', '.join(sorted(names)) or 'of no name'}")
            return None
        values = _sparse(path) if here == "sparse" else _tokens(path, archive)
        name = next((name for name in _IDS if name in names), None)
        ids = None if name is None else ids_from_array(path, name, archive[name]).tolist()
    items = Items(here, ids, values)
    if ids is not None and len(ids) != len(items):
        raise ShapeError(f"{path}: {len(items):,} items and {len(ids):,} ids ({name!r}).")
    return items


def _sparse(path: Path) -> Any:
    from scipy import sparse

    return sparse.load_npz(path).tocsr()


def _tokens(path: Path, archive: Any) -> Any:
    from vectorloom.index.multivector.token_vectors import as_token_vectors

    return as_token_vectors((archive["values"], archive["offsets"]), name=str(path))


def _refuse(path: Path, form: str, found: str) -> None:
    wanted = {
        "sparse": "a csr matrix as scipy.sparse.save_npz writes it (data, indices, indptr, shape)",
        "tokens": "'values' (all vectors) and 'offsets' (where each item begins, and the end)",
    }[form]
    raise FormatError(f"{path}: expected {wanted}; found {found}.")


def _dense(path: Path, form: str | None, vectors: str | None, ids: str | None) -> Items:
    import vectorloom as vl
    from vectorloom.progress import progress

    if form not in (None, "dense"):
        raise FormatError(
            f"{path}: expected {form}; found a file of dense vectors. Ask an index of vectors "
            "with it."
        )
    with progress(f"loading {path.name}"):
        found = vl.read(path, vectors=vectors, ids=ids)
    return Items("dense", None if found.ids is None else found.ids.tolist(), found.values)


# ---- lines ---------------------------------------------------------------------------------------


def _from_lines(lines: IO[str], name: str, form: str | None) -> Items:
    if form == "texts":
        return Items("texts", *parsed_texts(lines, name))
    if form == "tokens":
        raise FormatError(f"{name}: token vectors come as .npz with 'values' and 'offsets'.")
    head, rest = itertools.tee(lines)
    first = next((line for line in head if line.strip()), "")
    del head
    if _weights_in(_decoded(first)) is not None or form == "sparse":
        return Items("sparse", *_mappings(rest, name))
    if _is_dense_line(first):
        raise _DenseLines
    return Items("texts", *parsed_texts(rest, name))


def _decoded(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _is_dense_line(line: str) -> bool:
    data = _decoded(line)
    fields = list(data.values()) if isinstance(data, dict) else [data]
    return any(isinstance(field, list) for field in fields)


def _weights_in(data: Any) -> dict[str, Any] | None:
    """Return the mapping of a line; it stands alone, or under "vector" beside an id."""
    if not isinstance(data, dict):
        return None
    inside = data.get("vector")
    if isinstance(inside, dict):
        return inside
    numbers = (isinstance(x, int | float) and not isinstance(x, bool) for x in data.values())
    return data if data and all(numbers) else None


def _mappings(lines: Iterable[str], name: str) -> tuple[list[Any] | None, list[dict[str, Any]]]:
    ids: list[Any] = []
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        data = _decoded(line)
        weights = {} if data == {} else _weights_in(data)
        if weights is None:
            raise FormatError(
                f'{name}, line {number}: expected {{"id": "a", "vector": {{"term": 1.5}}}}.'
            )
        has_id = weights is not data
        ids.append(next((data[key] for key in _IDS if key in data), None) if has_id else None)
        rows.append(weights)
    if not rows:
        raise ShapeError(f"{name} holds no vector.")
    return checked_ids(ids, name), rows
