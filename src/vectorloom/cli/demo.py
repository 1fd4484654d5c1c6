# SPDX-License-Identifier: Apache-2.0
"""`vectorloom demo`: the package's main job on the documentation that every machine has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vectorloom.cli.output import DebugOption, JobsOption, JsonOption, SeedOption, job


def demo(
    questions: Annotated[
        list[str] | None,
        typer.Argument(metavar="[QUESTIONS]...", help="Questions about Python, each in quotes."),
    ] = None,
    out_folder: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for report.html.")
    ] = Path("vectorloom-demo"),
    jobs: JobsOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Answer questions from this machine's Python docs.

    Gathers the documentation of the standard library and of the installed packages, learns vectors
    from it, indexes them, answers QUESTIONS, measures quality and speed, and writes report.html.
    """
    with job(as_json=as_json, debug=debug) as out:
        from vectorloom.demo import run_demo

        result = run_demo(out_folder, questions=questions or None, n_jobs=jobs, random_state=seed)
        if as_json:
            out.document(result)
        else:
            out.show(result)
