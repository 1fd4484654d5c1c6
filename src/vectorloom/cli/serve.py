# SPDX-License-Identifier: Apache-2.0
"""`vectorloom serve` and `vectorloom key`: collections over HTTP, and who may reach them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vectorloom.cli.output import DebugOption, JobsOption, JsonOption, job, note
from vectorloom.errors import ParameterError


def serve(
    path: Annotated[Path, typer.Argument(help="A folder whose subfolders are collections.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8400,
    api_key_file: Annotated[
        Path | None,
        typer.Option(help="Keys, as `vectorloom key` makes them; needed beyond this machine."),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Write nothing.")] = False,
    jobs: JobsOption = None,
    debug: DebugOption = False,
) -> None:
    """Serve the collections of a folder over HTTP."""
    with job(as_json=False, debug=debug):
        from vectorloom.serve import make_app, run

        if (tls_cert is None) != (tls_key is None):
            raise ParameterError("--tls-cert and --tls-key go together; give both or neither.")
        tls = None if tls_cert is None or tls_key is None else (tls_cert, tls_key)
        app = make_app(path, host, api_key_file, read_only, jobs)
        note(f"http{'s' if tls else ''}://{host}:{port} serves {path}; Ctrl-C stops")
        run(app, host, port, tls)


def key(
    file: Annotated[Path, typer.Argument(help="The key file; made where there is none.")],
    role: Annotated[str, typer.Option(help="read or write.")] = "read",
    collection: Annotated[
        list[str] | None,
        typer.Option("--collection", help="A collection it is for; may be given again."),
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make an API key. It is shown once; the file keeps its hash."""
    with job(as_json=as_json, debug=debug) as out:
        from vectorloom.serve import add_key

        made = add_key(file, role, collection or [])
        if as_json:
            out.document({"key": made, "role": role, "collections": collection or "*"})
        else:
            typer.echo(made)
