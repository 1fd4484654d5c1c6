# SPDX-License-Identifier: Apache-2.0
"""`vectorloom convert`: from one vector file format to another."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vectorloom.cli.output import DebugOption, JsonOption, job
from vectorloom.progress import progress
from vectorloom.readable import format_bytes

if TYPE_CHECKING:
    from vectorloom.io import Vectors


def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Any readable vector file.")],
    target: Annotated[
        Path, typer.Argument(metavar="DST", help="The file to write; its suffix names the format.")
    ],
    file_format: Annotated[
        str | None,
        typer.Option("--format", help="Format of DST, if its suffix does not tell."),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="float32, float16, float64, int8 or uint8; as SRC if not given."),
    ] = None,
    vectors: Annotated[
        str | None, typer.Option(help="Column or key of SRC that holds the vectors.")
    ] = None,
    ids: Annotated[
        str | None, typer.Option(help="Column or key of SRC that holds the ids.")
    ] = None,
    drop_ids: Annotated[bool, typer.Option("--drop-ids", help="Leave the ids behind.")] = False,
    drop_metadata: Annotated[
        bool, typer.Option("--drop-metadata", help="Leave the other columns behind.")
    ] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Convert a vector file to another format.

    Ids and metadata go along. A format that cannot hold them is refused, unless they are dropped.
    """
    with job(as_json=as_json, debug=debug) as out:
        with progress(f"converting {source.name}"):
            found = _read(source, dtype, vectors, ids, drop_ids, drop_metadata)
            report = _write(found, source, target, file_format)
        if as_json:
            out.document(report)
        else:
            size = format_bytes(report["bytes"])
            out.show(
                f"{target}: {report['rows']:,} × {report['dim']:,} {report['dtype']} vectors, "
                f"{size}" + ("" if report["has_ids"] else ", no ids")
            )


def _read(
    source: Path,
    dtype: str | None,
    vectors: str | None,
    ids: str | None,
    drop_ids: bool,
    drop_metadata: bool,
) -> Vectors:
    import vectorloom as vl

    if drop_ids and ids is not None:
        raise typer.BadParameter("--ids and --drop-ids exclude each other.")
    found = vl.read(source, vectors=vectors, ids=False if drop_ids else ids, dtype=dtype)
    return dataclasses.replace(found, metadata=None) if drop_metadata else found


def _write(found: Vectors, source: Path, target: Path, file_format: str | None) -> dict[str, Any]:
    import vectorloom as vl

    vl.write(target, found.values, ids=found.ids, metadata=found.metadata, format=file_format)
    return {
        "source": str(source),
        "target": str(target),
        "rows": len(found),
        "dim": found.dim,
        "dtype": str(found.dtype),
        "has_ids": found.ids is not None,
        "metadata": [] if found.metadata is None else found.metadata.column_names,
        "bytes": target.stat().st_size,
    }
