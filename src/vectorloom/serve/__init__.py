# SPDX-License-Identifier: Apache-2.0
"""Collections over HTTP."""

from __future__ import annotations

from vectorloom.serve.asgi import App
from vectorloom.serve.calls import Limits
from vectorloom.serve.keys import add_key
from vectorloom.serve.models import open_models
from vectorloom.serve.running import make_app, run
from vectorloom.serve.service import Settings

__all__ = ["App", "Limits", "Settings", "add_key", "make_app", "open_models", "run"]
