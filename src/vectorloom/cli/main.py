# SPDX-License-Identifier: Apache-2.0
"""The command line's entry point.

Only typer is imported here; each command imports what it needs when it runs, so that ``--help`` and
``--version`` answer at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from vectorloom import __version__
from vectorloom.cli.collection import app as collection
from vectorloom.cli.compress import compress
from vectorloom.cli.convert import convert
from vectorloom.cli.demo import demo
from vectorloom.cli.doctor import doctor
from vectorloom.cli.index import index
from vectorloom.cli.info import info
from vectorloom.cli.learn import app as learn
from vectorloom.cli.measure import measure
from vectorloom.cli.output import EXIT_INTERRUPTED, note
from vectorloom.cli.search import search
from vectorloom.cli.serve import key, serve
from vectorloom.cli.tune import tune
from vectorloom.cli.verify import repair, verify

app = typer.Typer(
    name="vectorloom",
    no_args_is_help=True,
    add_completion=False,
    # Tracebacks are shown by --debug only, and then as Python prints them.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done · 1 the job failed · 2 wrong usage. "
    "VECTORLOOM_PROGRESS=auto|bar|json|off sets how progress is shown.",
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"vectorloom {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Learn, compress, index and search vectors, with answers that are measured and exact."""


for command in (
    demo,
    index,
    search,
    compress,
    measure,
    tune,
    verify,
    repair,
    serve,
    key,
    info,
    convert,
    doctor,
):
    app.command()(command)
app.add_typer(collection, name="collection")
app.add_typer(learn, name="learn")


def main() -> None:
    """Run the command line; the ``vectorloom`` script calls this."""
    try:
        app()
    except KeyboardInterrupt:  # outside a command's body; inside, `output.job` answers
        note("vectorloom: interrupted")
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
