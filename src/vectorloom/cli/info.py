# SPDX-License-Identifier: Apache-2.0
"""`vectorloom info`: what a file holds, without loading it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from vectorloom.cli.output import DebugOption, JsonOption, Output, facts, job, plain
from vectorloom.readable import format_bytes

# Keys of the description that are shown by another name, or as a size.
_NAMES = {"bytes": "size", "file_size": "size"}
_SIZES = ("bytes", "file_size", "nbytes")


def info(
    path: Annotated[
        Path, typer.Argument(help="A vector file, a BEIR folder, a saved index or a collection.")
    ],
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Describe a vector file or index without loading it.

    Tells format, shape, dtype, ids and metadata.
    """
    with job(as_json=as_json, debug=debug) as out:
        report = _describe(path)
        if as_json:
            out.document(report)
        else:
            _print(out, report)


def _describe(path: Path) -> dict[str, Any]:
    from vectorloom.io.container import is_container, read_header

    if path.is_file() and is_container(path):
        return {"path": str(path), "format": "vectorloom", **read_header(path)}
    if (path / "collection.db").is_file():
        from vectorloom.store import collection

        with collection(path, read_only=True) as found:
            return {"format": "collection", **found.info()}
    from vectorloom.io import describe

    described: dict[str, Any] = plain(describe(path))
    return described


def _print(out: Output, report: dict[str, Any]) -> None:
    from rich.text import Text

    shown = {name: value for name, value in report.items() if value not in (None, {}, [])}
    if "ids" in report:  # their absence is news
        shown["ids"] = report["ids"] or "none (rows are numbered from 0)"
    vectors = shown.get("vectors")
    if isinstance(vectors, list):  # one column for each component, possibly hundreds
        shown["vectors"] = f"{vectors[0]} … {vectors[-1]} ({len(vectors):,} columns)"
        columns = report["columns"].items()
        shown["columns"] = {name: kind for name, kind in columns if name not in vectors}
    rows = [(_NAMES.get(name, name), Text(_text(name, value))) for name, value in shown.items()]
    out.show(facts(rows, width=14))


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return format_bytes(value) if name in _SIZES else f"{value:,}"
    if isinstance(value, dict):
        return "\n".join(_lines(value))
    if isinstance(value, list | tuple):
        return ", ".join(_text(name, part) for part in value)
    return str(value)


def _lines(parts: dict[str, Any], above: str = "") -> Iterator[str]:
    """Yield a line a value, those of nested dicts by dotted names; an array takes one line."""
    for name, value in parts.items():
        if isinstance(value, dict) and {"dtype", "shape", "nbytes"} <= value.keys():
            shape = " × ".join(f"{axis:,}" for axis in value["shape"])
            yield f"{above}{name}: {value['dtype']} [{shape}], {format_bytes(value['nbytes'])}"
        elif isinstance(value, dict):
            yield from _lines(value, f"{above}{name}.")
        else:
            yield f"{above}{name}: {_text(name, value)}"
