# SPDX-License-Identifier: Apache-2.0
"""Start a server, or refuse to: beyond the loopback interface it needs keys."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

from vectorloom.errors import DependencyError, ParameterError
from vectorloom.serve.asgi import App, Limits
from vectorloom.serve.home import Home
from vectorloom.serve.keys import read_keys


def make_app(
    folder: Path,
    host: str,
    key_file: Path | None,
    read_only: bool = False,
    n_jobs: int | None = None,
    limits: Limits | None = None,
) -> App:
    """Return the application for a folder of collections.

    Parameters
    ----------
    folder : Path
        Its subfolders are the collections.
    host : str
        Where it is going to listen.
    key_file : Path or None
    read_only : bool, default=False
    n_jobs : int, default=None
    limits : Limits, default=None

    Raises
    ------
    ParameterError
        `host` is reached from other machines and there are no keys.
    FormatError, OSError
        The key file cannot be read; there is no such folder.
    """
    if key_file is None and not is_loopback(host):
        raise ParameterError(
            f"--host {host} can be reached from other machines, and without API keys anyone there "
            "could read and delete everything. Make keys with `vectorloom key FILE`, then pass "
            "--api-key-file FILE; or listen on 127.0.0.1."
        )
    keys = None if key_file is None else read_keys(key_file)
    return App(Home(folder, read_only, n_jobs), keys, limits or Limits())


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address; names other than localhost do not count."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def run(app: App, host: str, port: int, tls: tuple[Path, Path] | None) -> None:
    """Serve until a signal; requests under way are finished.

    Raises
    ------
    DependencyError
        uvicorn is missing.
    """
    try:
        import uvicorn  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise DependencyError(
            'serving needs uvicorn. Install it with: pip install "uvicorn>=0.30"'
        ) from None
    more: dict[str, Any] = {}
    if tls is not None:
        more = {"ssl_certfile": str(tls[0]), "ssl_keyfile": str(tls[1])}
    uvicorn.run(
        app, host=host, port=port, log_level="warning", access_log=False, server_header=False,
        timeout_graceful_shutdown=30, timeout_keep_alive=30, lifespan="on", **more,
    )  # fmt: skip
