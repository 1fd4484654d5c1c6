# SPDX-License-Identifier: Apache-2.0
"""What every command shares: its options, where it writes, and how it ends.

Standard output carries the answer only: with ``--json`` one JSON document (or one JSON object a
line, where a command says so), else text for people. Everything else (progress, notes, errors) goes
to standard error. Exit codes: 0 done, 1 the job failed, 2 wrong usage, 130 interrupted, 141 the
reader of standard output went away.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vectorloom.errors import InternalError, VectorloomError
from vectorloom.progress import progress

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console, RenderableType
    from rich.table import Table

    from vectorloom.io import Vectors

EXIT_FAILED = 1
EXIT_INTERRUPTED = 128 + 2  # as a shell reports SIGINT
EXIT_BROKEN_PIPE = 128 + 13  # as a shell reports SIGPIPE

# Off-terminal rich assumes 80 columns and would fold paths and tables; a file has no width.
WIDTH_OFF_TERMINAL = 1000

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")
]
DebugOption = Annotated[
    bool, typer.Option("--debug", help="Show the Python traceback of an error.")
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        help="Threads to use; -1 is all that are allowed, as is leaving it out.",
        show_default=False,
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Same seed, same numbers.")]
VectorsOption = Annotated[
    str | None, typer.Option(help="Column or key of PATH that holds the vectors.")
]
IdsOption = Annotated[str | None, typer.Option(help="Column or key of PATH that holds the ids.")]
QueryVectorsOption = Annotated[str | None, typer.Option(help="As --vectors, for --queries.")]
QueryIdsOption = Annotated[str | None, typer.Option(help="As --ids, for --queries.")]


class Output:
    """Writes one command's answer to standard output, as JSON or for people."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        # Told to doctor and its like, which report a failure inside their document.
        self.failed = False

    def document(self, data: Any) -> None:
        """Write the one JSON document of this command."""
        self._write(to_json(data, indent=2))

    def line(self, data: Any) -> None:
        """Write one JSON object on a line of its own."""
        self._write(to_json(data))

    def show(self, *renderables: RenderableType) -> None:
        """Write text, or a table, for people."""
        console = stdout_console()
        if console.is_terminal:
            console.print(*renderables, sep="\n")
            return
        with console.capture() as capture:
            console.print(*renderables, sep="\n")
        # Tables fill their cells with spaces, which only clutter a file.
        lines = [line.rstrip() for line in capture.get().splitlines()]
        sys.stdout.write("\n".join(lines) + "\n")

    def _write(self, text: str) -> None:
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:  # a narrow locale, or a file name that is not Unicode
            text = json.dumps(json.loads(text), ensure_ascii=True)
        sys.stdout.write(text + "\n")


@contextlib.contextmanager
def job(*, as_json: bool, debug: bool = False) -> Iterator[Output]:
    """Run a command's body: turn what goes wrong into a message and an exit code.

    Parameters
    ----------
    as_json : bool
        Errors are then also written to standard output, as ``{"error": {"kind", "message"}}``.
    debug : bool, default=False
        Let exceptions pass, with their traceback.

    Yields
    ------
    Output
        Where the answer goes; setting its ``failed`` ends the command with exit code 1.
    """
    _prepare_streams()
    out = Output(as_json)
    try:
        yield out
        sys.stdout.flush()
    except BrokenPipeError:
        _detach_stdout()
        raise typer.Exit(EXIT_BROKEN_PIPE) from None
    except KeyboardInterrupt:
        # The terminal has just echoed ^C; the message starts on a line of its own.
        _fail(out, "Interrupted", "interrupted", lead="\n" if sys.stderr.isatty() else "")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except Exception as error:
        if debug or is_control_flow(error):
            raise
        kind, message = explain(error)
        _fail(out, kind, message)
        raise typer.Exit(EXIT_FAILED) from None
    if out.failed:
        raise typer.Exit(EXIT_FAILED)


def is_control_flow(error: BaseException) -> bool:
    """Tell the exceptions by which typer itself ends a command (exit codes, wrong usage)."""
    return isinstance(error, typer.Exit | typer.Abort | typer.BadParameter)


def explain(error: Exception) -> tuple[str, str]:
    """Return the kind of an error, and a message that says what to do.

    Examples
    --------
    >>> explain(FileNotFoundError(2, "No such file or directory", "a.npy"))
    ('FileNotFoundError', 'a.npy: No such file or directory')
    """
    kind = type(error).__name__
    if isinstance(error, VectorloomError) and not isinstance(error, InternalError):
        return kind, str(error)
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return kind, f"{error.filename}: {reason}" if error.filename else reason
    if isinstance(error, MemoryError):
        return kind, "out of memory. Use fewer vectors, or a smaller --dtype."
    return kind, (
        f"{kind}: {error}. This is a bug of vectorloom: run the command again with --debug and "
        "report the traceback."
    )


def note(message: str) -> None:
    """Write one line to standard error; never fails the command."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(message.rstrip() + "\n")
        sys.stderr.flush()


def _fail(out: Output, kind: str, message: str, lead: str = "") -> None:
    note(f"{lead}vectorloom: {message}")
    if out.as_json:
        with contextlib.suppress(OSError, ValueError):
            out.document({"error": {"kind": kind, "message": message}})
    try:
        sys.stdout.flush()
    except (OSError, ValueError):  # a full disk: the flush at exit would change the exit code
        _detach_stdout()


def _prepare_streams() -> None:
    if sys.stdout is None:  # closed by the caller: vectorloom … >&-
        note("vectorloom: standard output is closed; redirect it to /dev/null to discard it.")
        raise typer.Exit(EXIT_FAILED)
    for stream in (sys.stdout, sys.stderr):
        # A locale that lacks a sign gets "?" in text for people; JSON is escaped in `Output`.
        if hasattr(stream, "reconfigure") and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")


def _detach_stdout() -> None:
    # Python flushes standard output once more at exit and would complain about the pipe there.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def to_json(data: Any, indent: int | None = None) -> str:
    """Return strict JSON: NumPy values become plain ones, NaN and infinity null, paths text.

    Examples
    --------
    >>> to_json({"loss": float("nan"), "n": 3})
    '{"loss": null, "n": 3}'
    """
    return json.dumps(plain(data), ensure_ascii=False, indent=indent, allow_nan=False)


def plain(data: Any) -> Any:
    """Return `data` made of dict, list, str, int, float, bool and None only."""
    if data is None or isinstance(data, str | bool | int):
        return data
    if isinstance(data, float):
        return float(data) if math.isfinite(data) else None
    if isinstance(data, dict):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple | set | frozenset):
        return [plain(value) for value in data]
    if hasattr(data, "tolist"):  # NumPy arrays and scalars
        return plain(data.tolist())
    if hasattr(data, "to_dict"):
        return plain(data.to_dict())
    return str(data)


def stdout_console() -> Console:
    """Make the console for answers; plain text without colour when it is not a terminal."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, markup=False, emoji=False, width=WIDTH_OFF_TERMINAL)
    return console


def quiet_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """Make a table with a rule under its head and nothing else; `right` names number columns."""
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        header_style="bold",
        border_style="dim",
    )
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def facts(rows: Sequence[tuple[str, RenderableType]], width: int = 22) -> Table:
    """Lay out names and values in two columns, indented by two; `width` aligns several calls."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True, min_width=width)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row("  " + name, value)
    return grid


def bullet(mark: str, style: str, message: str) -> Table:
    """Lay out a message behind a coloured mark, folded beside it and not under it."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    grid.add_row("", Text(mark, style=style), Text(message))
    return grid


def loaded(path: Path, vectors: str | None, ids: str | None) -> Vectors:
    """Return the vectors of a file, with progress while it is read."""
    import vectorloom as vl

    with progress(f"loading {path.name}"):
        return vl.read(path, vectors=vectors, ids=ids)
