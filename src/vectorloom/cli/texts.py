# SPDX-License-Identifier: Apache-2.0
"""Texts with ids, out of files of lines and of JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vectorloom.errors import FormatError, ShapeError

_IDS = ("id", "_id")
_TEXTS = ("text", "query", "contents")


def read_texts(source: str) -> tuple[list[Any], list[str]]:
    """Read texts and their ids.

    Parameters
    ----------
    source : str
        A file of lines, of JSON lines where its name ends in ``.jsonl`` or ``.ndjson`` or its first
        line begins with a brace, or ``-``. Blank lines are passed over.

    Returns
    -------
    ids : list of int or str
        All of one type: numbers of texts where lines have no ids.
    texts : list of str

    Raises
    ------
    FormatError : a line is not such an object, or some lines have ids and others not.
    ShapeError : there is no text.
    """
    if source == "-":
        ids, texts = parsed_texts(sys.stdin, "standard input")
    else:
        with Path(source).open(encoding="utf-8") as lines:
            try:
                ids, texts = parsed_texts(lines, source)
            except UnicodeDecodeError as error:
                raise FormatError(f"{source}: not UTF-8 ({error}); convert the file.") from None
    return list(range(len(texts))) if ids is None else ids, texts


def parsed_texts(lines: Iterable[str], name: str) -> tuple[list[Any] | None, list[str]]:
    """Return ids, None where lines have none, and texts; see `read_texts`."""
    ids: list[Any] = []
    texts: list[str] = []
    is_json: bool | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if is_json is None:
            is_json = name.endswith((".jsonl", ".ndjson")) or line.lstrip().startswith("{")
        id_, text = _from_json(line, f"{name}, line {number}") if is_json else (None, line.strip())
        ids.append(id_)
        texts.append(text)
    if not texts:
        raise ShapeError(f"{name} holds no text.")
    return checked_ids(ids, name), texts


def checked_ids(ids: list[Any], name: str) -> list[Any] | None:
    """Return ids of lines if they are of one type; None where no line has one.

    Raises
    ------
    FormatError : some lines have ids and others not, or of another type.
    """
    if all(id_ is None for id_ in ids):
        return None
    if any(type(id_) is not type(ids[0]) for id_ in ids):
        raise FormatError(f"{name}: ids must be all numbers or all strings, one on every line.")
    return ids


def _from_json(line: str, where: str) -> tuple[Any, str]:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise FormatError(f"{where}: not JSON ({error}).") from None
    text = (
        next((data[key] for key in _TEXTS if key in data), None) if isinstance(data, dict) else data
    )
    if not isinstance(text, str):
        raise FormatError(f'{where}: expected an object such as {{"id": "a", "text": "…"}}.')
    if not isinstance(data, dict):
        return None, text
    title = data.get("title")
    id_ = next((data[key] for key in _IDS if key in data), None)
    return id_, f"{title} {text}" if isinstance(title, str) and title else text
