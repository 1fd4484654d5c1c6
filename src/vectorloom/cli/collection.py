# SPDX-License-Identifier: Apache-2.0
"""`vectorloom collection …`: make, fill, ask and look after a collection without writing Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vectorloom.cli.output import (
    DebugOption,
    JobsOption,
    JsonOption,
    Output,
    facts,
    job,
    note,
    quiet_table,
)
from vectorloom.errors import ParameterError
from vectorloom.readable import format_bytes

if TYPE_CHECKING:
    from vectorloom.store import Collection

app = typer.Typer(
    no_args_is_help=True, help="Make, fill, search and look after a durable collection."
)

PathArgument = Annotated[Path, typer.Argument(metavar="COLLECTION", help="The folder.")]
WhereOption = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="JSON",
        help='A filter, such as \'{"year": {"$gte": 1990}}\'.',
        show_default=False,
    ),
]


@app.command()
def create(
    path: PathArgument,
    dim: Annotated[int, typer.Option(help="Dimensions of the vectors.", min=1)],
    metric: Annotated[str, typer.Option(help="cosine, ip or l2.")] = "cosine",
    dtype: Annotated[str, typer.Option(help="float32, float16 or int8.")] = "float32",
    index: Annotated[
        list[str] | None,
        typer.Option("--index", help="A payload field to be indexed; may be given again."),
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Create a collection in a folder."""
    with job(as_json=as_json, debug=debug) as out:
        from vectorloom.store import collection
        from vectorloom.store.database import NAME

        if (path / NAME).exists():
            raise ParameterError(f"{path} holds a collection already; choose another folder.")
        with collection(path, dim, metric, dtype=dtype, index=index) as made:
            _show_info(out, made.info())


@app.command()
def info(path: PathArgument, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Tell what a collection holds and how far its upkeep is."""
    with job(as_json=as_json, debug=debug) as out, _open(path, read_only=True) as found:
        _show_info(out, found.info())


@app.command("import")
def import_(
    path: PathArgument,
    source: Annotated[Path, typer.Argument(help="A vector file of any known format.")],
    ids: Annotated[str | None, typer.Option(help="Column of the ids.")] = None,
    vectors: Annotated[str | None, typer.Option(help="Column of the vectors.")] = None,
    text: Annotated[str | None, typer.Option(help="Column of the texts.")] = None,
    fresh: Annotated[
        bool, typer.Option("--from-start", help="Do not go on where an import was cut off.")
    ] = False,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Store all rows of a file; an import that was cut off goes on."""
    with job(as_json=as_json, debug=debug) as out, _open(path, jobs=jobs) as found:
        stored = found.import_(source, ids=ids, vectors=vectors, text=text, resume=not fresh)
        found.optimize()
        _tell(out, {"stored": stored, "points": len(found)})


@app.command()
def export(
    path: PathArgument,
    target: Annotated[Path, typer.Argument(help="A .parquet, .arrow or .feather file.")],
    where: WhereOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write points to a Parquet or Arrow file."""
    with job(as_json=as_json, debug=debug) as out, _open(path, read_only=True) as found:
        _tell(out, {"written": found.export(target, where=_where(where)), "file": str(target)})


@app.command()
def search(
    path: PathArgument,
    queries: Annotated[Path, typer.Argument(help="A vector file.")],
    k: Annotated[int, typer.Option("-k", help="Hits a query.", min=1)] = 10,
    where: WhereOption = None,
    field: Annotated[str | None, typer.Option(help="Which vectors.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Look at all points.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say how.")] = False,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Find the nearest points of queries; one JSON object a query with --json."""
    with job(as_json=as_json, debug=debug) as out, _open(path, read_only=True, jobs=jobs) as found:
        from vectorloom.io import read

        asked = read(queries)
        names = list(range(len(asked))) if asked.ids is None else asked.ids.tolist()
        hits = found.search(asked.values, k, _where(where), field, exact=exact, explain=explain)
        if hits.plan is not None:
            note(hits.plan[0])
        table = quiet_table("query", "rank", "id", "score", "payload", right=("rank", "score"))
        for i, name in enumerate(names):
            own = hits[i].to_dict()
            if as_json:
                out.line({"query": name, "hits": own})
            for rank, hit in enumerate(own, start=1):
                payload = "" if hit["payload"] is None else json.dumps(hit["payload"])
                table.add_row(
                    str(name), str(rank), str(hit["id"]), f"{hit['score']:.4f}", payload[:80]
                )
        if not as_json:
            out.show(table)


@app.command()
def count(
    path: PathArgument,
    where: WhereOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Count points."""
    with job(as_json=as_json, debug=debug) as out, _open(path, read_only=True) as found:
        _tell(out, {"points": found.count(_where(where))})


@app.command()
def delete(
    path: PathArgument,
    where: Annotated[str, typer.Option("--where", metavar="JSON", help="A filter.")],
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Remove the points that a filter leaves."""
    with job(as_json=as_json, debug=debug) as out, _open(path) as found:
        wanted = _where(where)
        if not wanted:
            raise ParameterError("an empty filter would remove all points; remove the folder.")
        _tell(out, {"removed": found.delete(where=wanted), "points": len(found)})


@app.command()
def optimize(
    path: PathArgument,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Seal, merge and index all now."""
    with job(as_json=as_json, debug=debug) as out, _open(path, jobs=jobs) as found:
        found.optimize()
        _show_info(out, found.info())


@app.command()
def snapshot(
    path: PathArgument,
    target: Annotated[Path, typer.Argument(help="A folder that is to be made.")],
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Copy a collection as of now, also while it is being written."""
    with job(as_json=as_json, debug=debug) as out, _open(path, read_only=True) as found:
        _tell(out, {"snapshot": str(found.snapshot(target)), "points": len(found)})


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="SNAPSHOT", help="The snapshot's folder.")],
    path: PathArgument,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Check a snapshot and copy it to where a collection is to be."""
    with job(as_json=as_json, debug=debug) as out:
        from vectorloom.store import restore as restored

        _tell(out, {"restored": str(restored(source, path))})


@app.command()
def alias(
    name: Annotated[Path, typer.Argument(metavar="ALIAS", help="The name that is to lead there.")],
    path: PathArgument,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Let a name lead to another collection, in one step."""
    with job(as_json=as_json, debug=debug) as out:
        from vectorloom.store import switch_alias

        switch_alias(name, path)
        _tell(out, {"alias": str(name), "collection": str(path)})


def _open(path: Path, *, read_only: bool = False, jobs: int | None = None) -> Collection:
    from vectorloom.store import collection
    from vectorloom.store.database import NAME

    if not (path / NAME).exists():
        raise FileNotFoundError(2, "there is no collection here", str(path))
    return collection(path, read_only=read_only, n_jobs=jobs)


def _where(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise ParameterError(
            f"--where is not JSON ({error}); give a filter such as '{{\"year\": 1990}}'."
        ) from None


def _tell(out: Output, data: dict[str, Any]) -> None:
    if out.as_json:
        out.document(data)
        return
    shown = [(n, f"{v:,}" if isinstance(v, int) else str(v)) for n, v in data.items()]
    out.show(facts(shown, width=14))


def _show_info(out: Output, data: dict[str, Any]) -> None:
    if out.as_json:
        out.document(data)
        return
    fields = [f"{f['name']}: {f['dim']} {f['metric']}, {f['dtype']}" for f in data["fields"]]
    segments = [
        f"{s['rows']:,} rows, {s['live']:,} living{', graph' if s['graph'] else ''}"
        + (f", damaged blocks {s['damaged_blocks']}" if s["damaged_blocks"] else "")
        for s in data["segments"]
    ]
    rows = [
        ("path", data["path"]),
        ("points", f"{data['points']:,}"),
        ("fields", "\n".join(fields)),
        ("index", ", ".join(data["index"]) or "none"),
        ("fresh rows", f"{data['fresh_rows']:,}"),
        ("segments", "\n".join(segments) or "none"),
        ("size", format_bytes(data["bytes"])),
    ]
    if data["lost"]:
        rows.append(("lost", "\n".join(data["lost"])))
    out.show(facts(rows, width=14))
