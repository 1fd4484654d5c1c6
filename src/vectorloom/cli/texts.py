# SPDX-License-Identifier: Apache-2.0
"""Texts with ids, out of files of lines and of JSON lines; and `vectorloom index`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from vectorloom.cli.output import DebugOption, JobsOption, JsonOption, job
from vectorloom.errors import FormatError, ShapeError

METHODS = ("lucene", "robertson", "atire", "bm25l", "bm25+", "okapi", "tfidf")
_IDS = ("id", "_id")
_TEXTS = ("text", "query", "contents")


def index(
    source: Annotated[
        str,
        typer.Argument(
            metavar="TEXTS", help="Lines of text, JSON lines (.jsonl), or - for standard input."
        ),
    ],
    out_file: Annotated[Path, typer.Argument(metavar="OUT", help="The index to write.")],
    method: Annotated[str, typer.Option(help=f"{', '.join(METHODS)}.")] = "lucene",
    k1: Annotated[
        float, typer.Option(help="How soon more of a word counts little.", min=0.0)
    ] = 1.2,
    b: Annotated[float, typer.Option(help="How much length counts.", min=0.0, max=1.0)] = 0.75,
    stop_words: Annotated[
        str | None, typer.Option(help="english leaves out 33 words.", show_default=False)
    ] = None,
    stemmer: Annotated[
        str | None, typer.Option(help="light takes off English endings.", show_default=False)
    ] = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Index texts by their words (BM25), for `vectorloom search OUT QUERIES`.

    A JSON line is {"id" or "_id": ..., "text": ...}, with a "title" put before the text if there is
    one. Other lines are texts as they are, with their number from 0 as id.
    """
    with job(as_json=as_json, debug=debug) as out:
        from vectorloom.index import BM25

        ids, texts = read_texts(source)
        began = time.perf_counter()
        made = BM25(
            k1=k1, b=b, method=method, stop_words=stop_words, stemmer=stemmer, n_jobs=jobs
        ).fit(texts, ids)
        made.save(out_file)
        seconds = time.perf_counter() - began
        if as_json:
            out.document({"out": str(out_file), "texts": len(texts), "seconds": round(seconds, 3)})
        else:
            typer.echo(f"{out_file}: {len(texts):,} texts in {seconds:.1f} s")


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
        return _parsed(sys.stdin, "standard input")
    with Path(source).open(encoding="utf-8") as lines:
        try:
            return _parsed(lines, source)
        except UnicodeDecodeError as error:
            raise FormatError(f"{source}: not UTF-8 ({error}); convert the file.") from None


def _parsed(lines: Iterable[str], name: str) -> tuple[list[Any], list[str]]:
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
    if all(id_ is None for id_ in ids):
        return list(range(len(texts))), texts
    if any(type(id_) is not type(ids[0]) for id_ in ids):
        raise FormatError(f"{name}: ids must be all numbers or all strings, one on every line.")
    return ids, texts


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
