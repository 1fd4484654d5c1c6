# SPDX-License-Identifier: Apache-2.0
"""BEIR folders: corpus.jsonl, queries.jsonl and qrels/<split>.tsv, each plain or compressed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vectorloom.errors import FormatError, ParameterError
from vectorloom.io.compression import SUFFIXES, open_stream
from vectorloom.io.faults import broken, guarded, shorten
from vectorloom.io.lines import decode, line_blocks
from vectorloom.io.paths import as_path, require_exists

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_HEADER = ("query-id", "corpus-id", "score")


@dataclass(frozen=True, eq=False)
class Documents:
    """Texts with their ids, in the order of the file.

    Parameters
    ----------
    ids : ndarray of shape (n,), object holding str
    texts : list of n str
    titles : list of n str
        Empty where a text has none.
    """

    ids: NDArray[Any]
    texts: list[str]
    titles: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    def full_texts(self) -> list[str]:
        """Join title and text with a space, which is what BEIR encodes.

        Returns
        -------
        list of str
        """
        pairs = zip(self.titles, self.texts, strict=True)
        return [f"{title} {text}".strip() for title, text in pairs]


@dataclass(frozen=True, eq=False)
class Beir:
    """A retrieval collection.

    Parameters
    ----------
    corpus : Documents
    queries : Documents
        The queries that `split` judges, in the order of the file; all when it is None.
    qrels : dict of str to dict of str to int
        Query id to document id to grade; 0 is judged and not relevant.
    split : str or None
    """

    corpus: Documents
    queries: Documents
    qrels: dict[str, dict[str, int]]
    split: str | None


def is_beir(folder: Path) -> bool:
    """Say whether a folder holds a corpus or queries beside qrels."""
    return (folder / "qrels").is_dir() and any(
        _find(folder, name) is not None for name in ("corpus.jsonl", "queries.jsonl")
    )


def splits(folder: Path) -> list[str]:
    """List the splits that the folder has judgments for."""
    if not (folder / "qrels").is_dir():
        return []
    names = (p.name for p in (folder / "qrels").iterdir() if ".tsv" in p.suffixes)
    return sorted({name.split(".tsv")[0] for name in names})


def read_beir(path: str | os.PathLike[str], split: str | None = "test") -> Beir:
    r"""Read a BEIR folder: texts, queries and relevance judgments.

    Parameters
    ----------
    path : str or path
        A folder with ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/<split>.tsv``; each may be
        compressed (.gz, .bz2, .xz, .zst).
    split : str or None, default="test"
        Which judgments to read; queries without any are left out, as BEIR does. None reads all
        queries and no judgments.

    Returns
    -------
    Beir

    Raises
    ------
    FormatError
        A file is missing, or a line is not what it should be; the message names file and line.
    ParameterError
        There is no such split; the message lists those that there are.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from vectorloom.io import read_beir
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> (folder / "qrels").mkdir()
    >>> _ = (folder / "corpus.jsonl").write_text('{"_id": "d1", "title": "A", "text": "cat"}\n')
    >>> _ = (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "feline"}\n')
    >>> _ = (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    >>> found = read_beir(folder)
    >>> found.corpus.full_texts(), found.qrels
    (['A cat'], {'q1': {'d1': 1}})
    """
    folder = as_path(path)
    require_exists(folder)
    if not folder.is_dir():
        message = f"{folder}: expected a BEIR folder; found a file. Give the folder it is in."
        raise FormatError(message)
    qrels: dict[str, dict[str, int]] = {}
    if split is not None:
        file = _find(folder / "qrels", f"{split}.tsv")
        if file is None:
            has = splits(folder)
            message = f"{folder}: no qrels/{split}.tsv; the folder has the splits {has}."
            raise ParameterError(message) if has else FormatError(message)
        qrels = _read_qrels(file)
    corpus = _read_documents(_require(folder, "corpus.jsonl"))
    queries = _read_documents(_require(folder, "queries.jsonl"))
    if split is not None:
        keep = [i for i, one in enumerate(queries.ids) if one in qrels]
        queries = Documents(
            queries.ids[keep], [queries.texts[i] for i in keep], [queries.titles[i] for i in keep]
        )
    return Beir(corpus, queries, qrels, split)


def _find(folder: Path, name: str) -> Path | None:
    files = (folder / (name + suffix) for suffix in ("", *SUFFIXES))
    return next((file for file in files if file.is_file()), None)


def _require(folder: Path, name: str) -> Path:
    file = _find(folder, name)
    if file is None:
        message = f"{folder}: expected {name} (plain, .gz, .bz2, .xz or .zst); found none."
        raise FormatError(message)
    return file


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with guarded(path, "text"), open_stream(path) as stream:
        for first, lines in line_blocks(stream):
            for number, line in enumerate(lines, first):
                if line.strip():
                    yield number, decode(path, line, number)


def _read_documents(path: Path) -> Documents:
    ids, texts, titles = [], [], []
    seen: dict[str, int] = {}
    for number, line in _lines(path):
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise broken(path, f"line {number}", "JSON", f"{shorten(line)} ({error})") from None
        if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
            raise broken(path, f"line {number}", "an object with _id and text", shorten(line))
        one = entry.get("_id")
        if isinstance(one, bool) or not isinstance(one, (str, int)):
            raise broken(path, f"line {number}", "_id, a str", shorten(one))
        one = str(one)
        if one in seen:
            raise broken(path, f"line {number}", "a new _id", f"{one!r} of line {seen[one]}")
        seen[one] = number
        ids.append(one)
        texts.append(entry["text"])
        title = entry.get("title")
        titles.append(title if isinstance(title, str) else "")
    array = np.empty(len(ids), dtype=object)
    array[:] = ids
    return Documents(array, texts, titles)


def _read_qrels(path: Path) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        fields = line.rstrip("\r\n").split("\t")
        if number == 1 and tuple(fields) == _HEADER:
            continue
        if len(fields) != 3:
            expected = "query-id, corpus-id, score, separated by tabs"
            raise broken(path, f"line {number}", expected, shorten(line))
        query, document, score = fields
        try:
            qrels.setdefault(query, {})[document] = int(score)
        except ValueError:
            raise broken(path, f"line {number}", "an integer score", repr(score)) from None
    return qrels
