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
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=PATH: a learner or encoder of texts, for /v1/embeddings and search by text; "
            "may be given again."
        ),
    ] = None,
    import_folder: Annotated[
        Path | None, typer.Option(help="Folder of files that may be imported over HTTP.")
    ] = None,
    recall_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of searches asked again exactly.")
    ] = 0.01,
    recall_budget: Annotated[
        float, typer.Option(min=0, max=1, help="Share of one core that this may take.")
    ] = 0.02,
    slow_seconds: Annotated[
        float, typer.Option(min=0, help="Longer requests are logged as slow, with their plan.")
    ] = 1.0,
    max_body: Annotated[
        int, typer.Option(min=1, max=4096, help="MiB of a request, packed and unpacked.")
    ] = 64,
    max_upload: Annotated[
        int, typer.Option(min=1, max=65536, help="GiB of a snapshot that is uploaded.")
    ] = 64,
    drain_seconds: Annotated[
        float, typer.Option(min=0, help="After SIGTERM: not ready but answering, then end.")
    ] = 0.0,
    jobs: JobsOption = None,
    debug: DebugOption = False,
) -> None:
    """Serve the collections of a folder over HTTP."""
    with job(as_json=False, debug=debug):
        from vectorloom.serve import Limits, Settings, make_app, open_models, run

        if (tls_cert is None) != (tls_key is None):
            raise ParameterError("--tls-cert and --tls-key go together; give both or neither.")
        tls = None if tls_cert is None or tls_key is None else (tls_cert, tls_key)
        settings = Settings(
            read_only=read_only,
            n_jobs=jobs,
            limits=Limits(
                body_bytes=max_body << 20, upload_bytes=max_upload << 30, slow_seconds=slow_seconds
            ),
            models=open_models(model or []),
            import_folder=import_folder,
            recall_share=recall_share,
            recall_budget=recall_budget,
        )
        app = make_app(path, host, api_key_file, settings)
        note(f"http{'s' if tls else ''}://{host}:{port} serves {path}; Ctrl-C stops")
        run(app, host, port, tls, drain_seconds)


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
