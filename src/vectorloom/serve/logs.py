# SPDX-License-Identifier: Apache-2.0
"""Logs of one JSON object a line: requests, slow ones with their plan, operations, failures.

Loggers: ``vectorloom.serve`` (requests and operations at INFO), ``vectorloom.serve.slow`` (at
WARNING). A program that mounts the application itself sets up logging as it likes.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone
from typing import Any

requests = logging.getLogger("vectorloom.serve")
slow = logging.getLogger("vectorloom.serve.slow")

_LONGEST = 2000


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON, with what its ``told`` says."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        when = datetime.fromtimestamp(record.created, timezone.utc)
        line: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        told = getattr(record, "told", None)
        if isinstance(told, dict):
            line |= told
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def write_to_stderr() -> None:
    """Send what the server logs to standard error, as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name, level in (("vectorloom", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False


def shortened(value: Any) -> Any:
    """Return what is logged of something that a client sent."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return value if len(text) <= _LONGEST else text[:_LONGEST] + "…"
