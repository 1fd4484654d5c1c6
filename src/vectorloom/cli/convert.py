# SPDX-License-Identifier: Apache-2.0
"""`vectorloom convert`: from one vector file format to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vectorloom.cli.output import DebugOption, JsonOption, format_bytes, job


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
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Convert a vector file to another format.

    Ids and metadata go along where the format of DST can hold them.
    """
    with job(as_json=as_json, debug=debug) as out:
        report = _convert(source, target, file_format, dtype, vectors, ids)
        if as_json:
            out.document(report)
        else:
            size = format_bytes(report["bytes"])
            out.show(
                f"{target}: {report['rows']:,} × {report['dim']:,} {report['dtype']} vectors, "
                f"{size}" + ("" if report["has_ids"] else ", no ids")
            )


def _convert(
    source: Path,
    target: Path,
    file_format: str | None,
    dtype: str | None,
    vectors: str | None,
    ids: str | None,
) -> dict[str, Any]:
    import vectorloom as vl

    found = vl.read(source, vectors=vectors, ids=ids, dtype=dtype)
    vl.write(target, found.values, ids=found.ids, metadata=found.metadata, format=file_format)
    return {
        "source": str(source),
        "target": str(target),
        "rows": len(found.values),
        "dim": int(found.values.shape[1]),
        "dtype": str(found.values.dtype),
        "has_ids": found.ids is not None,
        "bytes": target.stat().st_size,
    }
