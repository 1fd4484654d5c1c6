# SPDX-License-Identifier: Apache-2.0
"""Collections over HTTP."""

from __future__ import annotations

from vectorloom.serve.asgi import App, Limits
from vectorloom.serve.keys import add_key
from vectorloom.serve.running import make_app, run

__all__ = ["App", "Limits", "add_key", "make_app", "run"]
