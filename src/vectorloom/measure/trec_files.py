# SPDX-License-Identifier: Apache-2.0
"""Judgments and runs in files: TREC's columns and BEIR's tables, plain or compressed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vectorloom.io.compression import open_stream
from vectorloom.io.faults import broken, guarded, shorten
from vectorloom.io.lines import decode, line_blocks
from vectorloom.io.paths import as_path, require_exists

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEADER = ["query-id", "corpus-id", "score"]


def read_qrels(path: str | os.PathLike[str]) -> dict[str, dict[str, int]]:
    r"""Read relevance judgments.

    Parameters
    ----------
    path : str or path
        TREC: ``query 0 document grade``, separated by blanks. BEIR: ``query-id``, ``corpus-id``,
        ``score``, separated by tabs, below a header. May be compressed (.gz, .bz2, .xz, .zst).

    Returns
    -------
    dict of str to dict of str to int
        Query to document to grade.

    Raises
    ------
    FormatError
        A line is not what it should be, or judges a document a second time with another grade; the
        message names file and line.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "qrels.txt"
    >>> _ = file.write_text("q1 0 d1 2\nq1 0 d2 0\n")
    >>> read_qrels(file)
    {'q1': {'d1': 2, 'd2': 0}}
    """
    file = as_path(path)
    require_exists(file)
    qrels: dict[str, dict[str, int]] = {}
    for number, line in _lines(file):
        fields = line.split("\t") if line.count("\t") == 2 else line.split()
        if number == 1 and fields == _HEADER:
            continue
        if len(fields) not in (3, 4):
            expected = "query, iteration, document, grade (TREC) or query, document, grade (BEIR)"
            raise broken(file, f"line {number}", expected, shorten(line))
        query, document = fields[0], fields[-2]
        try:
            grade = int(fields[-1])
        except ValueError:
            raise broken(file, f"line {number}", "an integer grade", repr(fields[-1])) from None
        judged = qrels.setdefault(query, {})
        if judged.setdefault(document, grade) != grade:
            found = f"{document!r} with {judged[document]} before and {grade} here"
            raise broken(file, f"line {number}", f"one grade a document for {query!r}", found)
    return qrels


def read_run(path: str | os.PathLike[str]) -> dict[str, dict[str, float]]:
    r"""Read what a system returned.

    Parameters
    ----------
    path : str or path
        TREC: ``query Q0 document rank score tag``, separated by blanks; the rank is not used, as
        trec_eval does not. May be compressed.

    Returns
    -------
    dict of str to dict of str to float
        Query to document to score.

    Raises
    ------
    FormatError
        A line is not what it should be, or returns a document twice.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "run.txt"
    >>> _ = file.write_text("q1 Q0 d2 1 0.9 mine\nq1 Q0 d1 2 0.4 mine\n")
    >>> read_run(file)
    {'q1': {'d2': 0.9, 'd1': 0.4}}
    """
    file = as_path(path)
    require_exists(file)
    run: dict[str, dict[str, float]] = {}
    for number, line in _lines(file):
        fields = line.split()
        if len(fields) != 6:
            raise broken(file, f"line {number}", "query Q0 document rank score tag", shorten(line))
        query, _, document, _, text, _ = fields
        try:
            score = float(text)
        except ValueError:
            raise broken(file, f"line {number}", "a score", repr(text)) from None
        found = run.setdefault(query, {})
        if document in found:
            raise broken(file, f"line {number}", "a document once a query", repr(document))
        found[document] = score
    return run


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with guarded(path, "text"), open_stream(path) as stream:
        for first, lines in line_blocks(stream):
            for number, line in enumerate(lines, first):
                if line.strip():
                    yield number, decode(path, line, number).rstrip("\r\n")
