# SPDX-License-Identifier: Apache-2.0
"""Start a server, or refuse to: beyond the loopback interface it needs keys."""

from __future__ import annotations

import contextlib
import ipaddress
import signal
import threading
from pathlib import Path
from typing import Any

from vectorloom.errors import DependencyError, ParameterError
from vectorloom.serve.asgi import App
from vectorloom.serve.keys import read_keys
from vectorloom.serve.logs import write_to_stderr
from vectorloom.serve.service import Service, Settings


def make_app(
    folder: Path, host: str, key_file: Path | None, settings: Settings | None = None, **more: Any
) -> App:
    """Return the application for a folder of collections.

    Parameters
    ----------
    folder : Path
        Its subfolders are the collections.
    host : str
        Where it is going to listen.
    key_file : Path or None
    settings : Settings, default=None
    **more
        Fields of `Settings`, in place of it.

    Raises
    ------
    ParameterError
        `host` is reached from other machines and there are no keys; a setting is not allowed.
    LockedError
        Another server writes to this folder.
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
    settings = settings or Settings(**more)
    return App(Service(folder, settings), keys, settings.limits)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address; names other than localhost do not count."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def run(
    app: App, host: str, port: int, tls: tuple[Path, Path] | None, drain_seconds: float = 0.0
) -> None:
    """Serve until a signal; requests under way are finished.

    Parameters
    ----------
    app : App
    host : str
    port : int
    tls : (Path, Path) or None
        Certificate and private key.
    drain_seconds : float, default=0.0
        Between the first SIGTERM and the end of listening, while ``/readyz`` says 503: the time
        that a load balancer takes to look away. A second signal ends it at once.

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

    class Server(uvicorn.Server):  # type: ignore[misc,unused-ignore]
        def handle_exit(self, sig: int, frame: Any) -> None:
            end = super().handle_exit
            if sig == signal.SIGTERM and drain_seconds > 0 and not app.draining:
                timer = threading.Timer(drain_seconds, end, (sig, frame))
                timer.daemon = True
                timer.start()
            else:
                end(sig, frame)
            app.drain()

    more: dict[str, Any] = {}
    if tls is not None:
        more = {"ssl_certfile": str(tls[0]), "ssl_keyfile": str(tls[1])}
    write_to_stderr()
    config = uvicorn.Config(
        app, host=host, port=port, log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=30, timeout_keep_alive=30, lifespan="on", ws="none", **more,
    )  # fmt: skip
    with contextlib.suppress(KeyboardInterrupt):
        Server(config).run()
