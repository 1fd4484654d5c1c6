# SPDX-License-Identifier: Apache-2.0
"""`vectorloom search`: the exact nearest vectors of a file, or of a saved index, also of texts."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from vectorloom.cli.output import (
    DebugOption,
    JobsOption,
    JsonOption,
    Output,
    job,
    note,
    quiet_table,
    to_json,
)
from vectorloom.cli.texts import read_texts
from vectorloom.errors import FormatError, ParameterError, ShapeError
from vectorloom.progress import progress

if TYPE_CHECKING:
    from vectorloom.index.hits import Hits

# A terminal shows this many queries; files and pipes get them all.
SHOWN_QUERIES = 20

# Far more than fills a kernel, far less than takes a minute.
QUERIES_A_BLOCK = 1024

RUN_TAG = "vectorloom"


def search(
    source: Annotated[
        Path, typer.Argument(metavar="VECTORS", help="A vector file or a saved index.")
    ],
    queries: Annotated[
        str,
        typer.Argument(
            metavar="QUERIES",
            help="A vector file, or - for JSON lines on standard input; for an index of texts, "
            "lines or JSON lines of text.",
        ),
    ],
    k: Annotated[int, typer.Option("-k", help="Hits a query.", min=1)] = 10,
    metric: Annotated[
        str | None,
        typer.Option(
            help="cosine, ip, l2 or hamming. A saved index has its own; a file gets cosine.",
            show_default=False,
        ),
    ] = None,
    ids: Annotated[
        str | None, typer.Option(help="Name of the column or key that holds the ids.")
    ] = None,
    vectors: Annotated[
        str | None, typer.Option(help="Name of the column or key that holds the vectors.")
    ] = None,
    query_vectors: Annotated[str | None, typer.Option(help="The same for QUERIES.")] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write JSON lines to FILE.")
    ] = None,
    run_file: Annotated[
        Path | None, typer.Option("--run", metavar="FILE", help="Write a TREC run to FILE.")
    ] = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Find the exact nearest vectors of queries, or the texts that share their words.

    On a terminal the answer is a table. With --json, or into a pipe, it is one JSON object a line:
    {"query": id, "hits": [{"id", "score", "distance"}, ...]}, best hit first.
    """
    with job(as_json=as_json, debug=debug) as out:
        index = _index(source, metric, vectors, ids, jobs)
        query_ids, values = _queries(index, queries, query_vectors)
        hits = _search(index, values, k)
        if run_file is not None:
            _write_lines(run_file, _run_lines(hits, query_ids))
        if out_file is not None:
            _write_lines(out_file, map(to_json, _records(hits, query_ids)))
        if as_json or (not _is_shown() and out_file is None and run_file is None):
            for record in _records(hits, query_ids):
                out.line(record)
        elif out_file is None and run_file is None:
            _print(out, hits, query_ids)
        else:
            written = ", ".join(str(path) for path in (out_file, run_file) if path is not None)
            note(f"{len(hits):,} queries, {int(hits.counts.sum()):,} hits written to {written}")


def _is_shown() -> bool:
    return sys.stdout.isatty()


def _index(
    path: Path, metric: str | None, vectors: str | None, ids: str | None, jobs: int | None
) -> Any:
    import vectorloom as vl
    from vectorloom.io.container import is_container

    if path.is_file() and is_container(path):
        index = vl.open(path)
        if not hasattr(index, "search"):
            raise ParameterError(
                f"{path} holds a {type(index).__name__}, which cannot be searched; give a vector "
                "file or a saved index."
            )
        if metric is not None and metric != index.metric:
            raise ParameterError(
                f"{path} was built for metric {index.metric!r} and --metric is {metric!r}; leave "
                "--metric out, or search the vector file that it was built from."
            )
        for name, value in (("--vectors", vectors), ("--ids", ids)):
            if value is not None:
                raise ParameterError(f"{path} is a saved index, not columns; leave {name} out.")
        if jobs is not None:
            index.n_jobs = jobs
        return index
    chosen = metric or "cosine"
    with progress(f"loading {path.name}"):
        found = vl.read(path, vectors=vectors, ids=ids)
        dtype = "bits" if chosen == "hamming" else _storage(found.values.dtype.name)
        index = vl.index.Exact(metric=chosen, dtype=dtype, n_jobs=jobs)
        return index.fit(found.values, ids=found.ids)


def _storage(dtype: str) -> str:
    """Store narrow files as they are, which loses nothing; everything else as float32."""
    return dtype if dtype in ("float16", "int8", "uint8") else "float32"


def _search(index: Any, queries: Any, k: int) -> Hits:
    """Search in blocks, which changes no answer, to tell how far a long search is."""
    import numpy as np

    parts: list[Hits] = []
    with progress("searching", total=len(queries), unit="queries") as bar:
        for start in range(0, max(1, len(queries)), QUERIES_A_BLOCK):
            parts.append(index.search(queries[start : start + QUERIES_A_BLOCK], k=k))
            bar.advance(len(parts[-1]))
    if len(parts) == 1:
        return parts[0]
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("ids", "scores", "distances", "counts")
    }
    return dataclasses.replace(parts[0], **joined)


def _queries(index: Any, source: str, vectors: str | None) -> tuple[list[Any], Any]:
    import vectorloom as vl

    if isinstance(index, vl.index.BM25):
        if vectors is not None:
            raise ParameterError("the index holds texts, not vectors; leave --query-vectors out.")
        return read_texts(source)
    if source == "-":
        return read_json_lines(sys.stdin)
    found = vl.read(source, vectors=vectors)
    ids = range(len(found.values)) if found.ids is None else found.ids.tolist()
    return list(ids), found.values


def read_json_lines(lines: TextIO) -> tuple[list[Any], Any]:
    """Read queries, one a line: a list of numbers, or an object with "vector" and maybe "id".

    Parameters
    ----------
    lines : text stream

    Returns
    -------
    ids : list of int or str
        The number of the query (from 0) where it has no id.
    vectors : ndarray of shape (n, dim), float32

    Raises
    ------
    FormatError : a line is not such a list or object.
    ShapeError : no line, or vectors of unequal length.
    """
    import numpy as np

    if lines.isatty():
        note("reading queries from the terminal, one JSON list a line; end with Ctrl-D")
    ids: list[Any] = []
    rows: list[Any] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        id_, row = _parse_line(line, number, len(rows))
        if rows and len(row) != len(rows[0]):
            raise ShapeError(
                f"standard input, line {number}: a vector of {len(row)} numbers, but the first "
                f"has {len(rows[0])}. All queries must have the same dimension."
            )
        ids.append(id_)
        rows.append(row)
    if not rows:
        raise ShapeError("standard input held no query; give one JSON list of numbers a line.")
    return ids, np.asarray(rows, dtype=np.float32)


def _parse_line(line: str, number: int, position: int) -> tuple[Any, list[float]]:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise FormatError(f"standard input, line {number}: not JSON ({error}).") from None
    id_: Any = position
    if isinstance(data, dict):
        id_ = data.get("id", data.get("_id", position))
        data = data.get("vector", data.get("embedding", data.get("values")))
    numbers = isinstance(data, list) and all(
        isinstance(x, int | float) and not isinstance(x, bool) for x in data
    )
    if not numbers or not data:
        raise FormatError(
            f"standard input, line {number}: expected a list of numbers, or an object such as "
            '{"id": "q1", "vector": [0.1, 0.2]}.'
        )
    return id_, data


def _records(hits: Hits, query_ids: list[Any]) -> Iterator[dict[str, Any]]:
    for position, query in enumerate(query_ids):
        yield {"query": query, "hits": hits[position].to_dict()}


def _run_lines(hits: Hits, query_ids: list[Any]) -> Iterator[str]:
    """Yield ``query Q0 document rank score tag``, the lines that trec_eval reads."""
    for query, found in hits.to_run(query_ids).items():
        for rank, (document, score) in enumerate(found.items(), start=1):
            for name in (query, document):
                if not name or name.split() != [name]:
                    raise ParameterError(
                        f"the id {name!r} is empty or has a space, which a TREC run cannot hold; "
                        "write JSON lines with --out instead."
                    )
            yield f"{query} Q0 {document} {rank} {score:.9g} {RUN_TAG}"


def _write_lines(path: Path, lines: Iterator[str]) -> None:
    from vectorloom.io.paths import replacing

    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)


def _print(out: Output, hits: Hits, query_ids: list[Any]) -> None:
    from rich.text import Text

    form = ".0f" if hits.metric == "hamming" else "#.6g"  # six digits that line up
    table = quiet_table("query", "rank", "id", "score", "distance", right=("rank",))
    for column in table.columns[3:]:
        column.justify = "right"
    for position, query in enumerate(query_ids[:SHOWN_QUERIES]):
        found = hits[position].to_dict()
        if not found:
            table.add_row(Text(str(query)), "", Text("no hits", style="dim"))
        for rank, hit in enumerate(found, start=1):
            table.add_row(
                Text(str(query) if rank == 1 else ""),
                str(rank),
                Text(str(hit["id"])),
                f"{hit['score']:{form}}",
                f"{hit['distance']:{form}}",
                end_section=rank == len(found),
            )
    out.show(table)
    if len(query_ids) > SHOWN_QUERIES:
        note(
            f"{len(query_ids) - SHOWN_QUERIES:,} more queries are not shown; --out FILE writes "
            "them all."
        )
