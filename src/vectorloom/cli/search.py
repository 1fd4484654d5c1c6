# SPDX-License-Identifier: Apache-2.0
"""`vectorloom search`: the nearest vectors of a file, or the hits of any saved index."""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from vectorloom.cli.index import named
from vectorloom.cli.items import Items, read_items
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
        list[str],
        typer.Argument(
            metavar="QUERIES",
            help="What the index holds: vectors (a file, or - for JSON lines), texts, sparse "
            "vectors or token vectors. For a hybrid index one NAME=FILE a leg.",
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
    recall: Annotated[
        float | None,
        typer.Option(
            help="Share of the true hits that an approximate index is to find; 1 is exact where "
            "it can be.",
            min=0.0,
            max=1.0,
            show_default=False,
        ),
    ] = None,
    rerank: Annotated[
        str | None,
        typer.Option(
            metavar="INDEX=QUERIES",
            help="Rank the hits by a second saved index of the same items, asked with QUERIES.",
            show_default=False,
        ),
    ] = None,
    candidates: Annotated[
        int, typer.Option(help="Hits that --rerank ranks, a query.", min=1)
    ] = 100,
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
    """Find the nearest vectors of queries, or the texts that share their words.

    On a terminal the answer is a table. With --json, or into a pipe, it is one JSON object a line:
    {"query": id, "hits": [{"id", "score", "distance"}, ...]}, best hit first; hits of a hybrid
    index also say "legs": {name: {"rank", "score"}}.
    """
    with job(as_json=as_json, debug=debug) as out:
        index = _index(source, metric, vectors, ids, jobs)
        asked = _asked(index, queries, query_vectors)
        if rerank is not None:
            index, asked = _two_stages(index, asked, rerank, candidates, jobs)
        query_ids, values = _query_ids(asked), _values(asked)
        hits = _search(index, values, len(query_ids), k, recall)
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
        own = getattr(index, "metric", None)
        if metric is not None and metric != own:
            raise ParameterError(
                f"{path} was built for metric {own!r} and --metric is {metric!r}; leave --metric "
                "out, or search the vector file that it was built from."
            )
        for name, value in (("--vectors", vectors), ("--ids", ids)):
            if value is not None:
                raise ParameterError(f"{path} is a saved index, not columns; leave {name} out.")
        if jobs is not None:
            for each in getattr(index, "legs", {"": index}).values():
                each.n_jobs = jobs
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


# What an index is asked: one set of queries, or one for each leg or stage.
Asked = Items | dict[str, Any]


def _asked(index: Any, sources: list[str], vectors: str | None) -> Asked:
    legs = getattr(index, "legs", None)
    if legs is None:
        if len(sources) > 1:
            raise ParameterError(
                f"a {type(index).__name__} is asked with one file of queries; got {len(sources)}."
            )
        return _one_asked(index, sources[0], vectors)
    if vectors is not None:
        raise ParameterError("--query-vectors is for one file of vectors; leave it out.")
    files = named(sources)
    unknown = sorted(files.keys() - legs.keys())
    if unknown:
        raise ParameterError(f"the index has no leg {unknown}; its legs are {sorted(legs)}.")
    return {name: _one_asked(legs[name], file, None) for name, file in files.items()}


def _one_asked(index: Any, source: str, vectors: str | None) -> Items:
    form = _form_of(index)
    if form != "dense":
        if vectors is not None:
            raise ParameterError(
                f"the index holds {form}, not vectors in columns; leave --query-vectors out."
            )
        return read_items(source, form)
    if source == "-":
        return Items("dense", *read_json_lines(sys.stdin))
    return read_items(source, form, vectors=vectors)


def _form_of(index: Any) -> str:
    from vectorloom import index as indexes

    if isinstance(index, indexes.BM25):
        return "texts"
    if isinstance(index, indexes.Inverted):
        return "sparse"
    return "tokens" if isinstance(index, indexes.MultiVector | indexes.TokenCodes) else "dense"


def _two_stages(
    index: Any, asked: Asked, rerank: str, candidates: int, jobs: int | None
) -> tuple[Any, Asked]:
    from vectorloom.index import TwoStage

    path, _, queries = rerank.partition("=")
    if not path or not queries:
        raise ParameterError(f"--rerank must be INDEX=QUERIES; got {rerank!r}.")
    second = _index(Path(path), None, None, None, jobs)
    stages = TwoStage(index, second, n_candidates=candidates)
    return stages, {"first": asked, "second": _asked(second, [queries], None)}


def _parts(asked: Asked) -> Iterator[tuple[str, Items]]:
    """Yield each set of queries with what it is for."""
    for name, each in asked.items() if isinstance(asked, dict) else [("", asked)]:
        if isinstance(each, dict):
            yield from _parts(each)
        else:
            yield name, each


def _query_ids(asked: Asked) -> list[Any]:
    """Return the ids of queries, which all sets of them must share."""
    (name, first), *others = _parts(asked)
    for other, items in others:
        if len(items) != len(first):
            raise ShapeError(
                f"{name} is asked {len(first)} queries and {other} {len(items)}; give the same "
                "queries to all."
            )
        if None not in (first.ids, items.ids) and first.ids != items.ids:
            raise ParameterError(
                f"the queries of {name} and {other} have other ids, or another order; give the "
                "same queries in the same order to all."
            )
    ids = next((items.ids for _, items in _parts(asked) if items.ids is not None), None)
    return list(range(len(first))) if ids is None else ids


def _values(asked: Asked) -> Callable[[int, int], Any]:
    """Return what gives queries first, …, last - 1 in the form that the index takes."""
    if not isinstance(asked, dict):
        return asked.part
    parts = {name: _values(each) for name, each in asked.items()}
    return lambda first, last: {name: part(first, last) for name, part in parts.items()}


def _search(
    index: Any, part: Callable[[int, int], Any], n: int, k: int, recall: float | None
) -> Hits:
    """Search in blocks, which changes no answer, to tell how far a long search is."""
    import numpy as np

    options = {}
    if recall is not None:
        if "recall" not in inspect.signature(index.search).parameters:
            raise ParameterError(f"a {type(index).__name__} takes no recall: leave --recall out.")
        options["recall"] = recall
    found: list[Hits] = []
    with progress("searching", total=n, unit="queries") as bar:
        for start in range(0, max(1, n), QUERIES_A_BLOCK):
            found.append(index.search(part(start, start + QUERIES_A_BLOCK), k=k, **options))
            bar.advance(len(found[-1]))
    if len(found) == 1:
        return found[0]
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(each, name) for each in found])
        for name in ("ids", "scores", "distances", "counts")
    }
    for name in ("leg_scores", "leg_ranks"):
        if hasattr(found[0], name):
            legs = getattr(found[0], name)
            joined[name] = {
                leg: np.concatenate([getattr(each, name)[leg] for each in found]) for leg in legs
            }
    return dataclasses.replace(found[0], **joined)


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
        found = hits[position].to_dict()
        for place, legs in enumerate(_legs(hits, position)):
            found[place]["legs"] = legs
        yield {"query": query, "hits": found}


def _legs(hits: Hits, query: int) -> Iterator[dict[str, dict[str, Any]]]:
    """Yield what each leg said of each hit; nothing where there are no legs."""
    ranks = getattr(hits, "leg_ranks", None)
    if ranks is None:
        return
    scores = getattr(hits, "leg_scores")  # noqa: B009 - of the same class
    for place in range(int(hits.counts[query])):
        yield {
            leg: {"rank": int(of[query, place]), "score": float(scores[leg][query, place])}
            for leg, of in ranks.items()
            if of[query, place] > 0
        }


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
    legs = list(getattr(hits, "leg_ranks", {}))
    table = quiet_table("query", "rank", "id", "score", "distance", *legs, right=("rank",))
    for column in table.columns[3:]:
        column.justify = "right"
    for position, query in enumerate(query_ids[:SHOWN_QUERIES]):
        found = hits[position].to_dict()
        if not found:
            table.add_row(Text(str(query)), "", Text("no hits", style="dim"))
        said = list(_legs(hits, position))
        for rank, hit in enumerate(found, start=1):
            places = [str(said[rank - 1].get(leg, {}).get("rank", "–")) for leg in legs]
            table.add_row(
                Text(str(query) if rank == 1 else ""),
                str(rank),
                Text(str(hit["id"])),
                f"{hit['score']:{form}}",
                f"{hit['distance']:{form}}",
                *places,
                end_section=rank == len(found),
            )
    out.show(table)
    if len(query_ids) > SHOWN_QUERIES:
        note(
            f"{len(query_ids) - SHOWN_QUERIES:,} more queries are not shown; --out FILE writes "
            "them all."
        )
