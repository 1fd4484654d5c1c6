# SPDX-License-Identifier: Apache-2.0
"""`vectorloom verify` and `vectorloom repair`: is a collection whole, and what can be put right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vectorloom.cli.output import DebugOption, JsonOption, bullet, facts, job

PathArgument = Annotated[Path, typer.Argument(metavar="COLLECTION", help="The folder.")]


def verify(path: PathArgument, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Check every checksum of a collection; exit code 1 where something stored is damaged."""
    with job(as_json=as_json, debug=debug) as out:
        from vectorloom.store import verify as check

        report = check(path)
        out.failed = not report.is_sound
        if as_json:
            out.document(report.to_dict())
            return
        out.show(
            facts([
                ("points", f"{report.points:,}"),
                ("segments", f"{report.segments:,}"),
                ("blocks", f"{report.blocks:,}"),
            ], width=14)
        )  # fmt: skip
        for problem in report.problems:
            style = "yellow" if problem.kind in ("graph", "stray") else "red"
            out.show(bullet("!", style, str(problem)))
        if not report.problems:
            out.show(bullet("✓", "green", "every checksum is right"))


def repair(
    path: PathArgument,
    snapshot: Annotated[
        Path | None,
        typer.Option(help="A snapshot to take damaged vectors from.", show_default=False),
    ] = None,
    drop: Annotated[
        bool, typer.Option("--drop", help="Remove points whose vectors are nowhere.")
    ] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Put right what verify finds in segments and derived files."""
    with job(as_json=as_json, debug=debug) as out:
        from vectorloom.store import repair as put_right

        done = put_right(path, snapshot, drop=drop)
        if as_json:
            out.document(done)
            return
        dropped = done["dropped"]
        shown = ", ".join(map(str, dropped[:10])) + (", …" if len(dropped) > 10 else "")
        out.show(
            facts([
                ("restored", f"{done['restored']:,} points"),
                ("dropped", f"{len(dropped):,} points" + (f": {shown}" if dropped else "")),
                ("strays", f"{len(done['strays']):,} files removed"),
            ], width=14)
        )  # fmt: skip
