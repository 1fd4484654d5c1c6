# SPDX-License-Identifier: Apache-2.0
"""One file a peer; a suite names the file. `base.py` is the contract."""

from __future__ import annotations

import importlib
from typing import Any


def make_peer(adapter: str, /, **settings: Any) -> Any:
    """Build the ``Peer`` of `benchmarks.peers.<adapter>`, or of a dotted module name."""
    name = adapter if "." in adapter else f"{__name__}.{adapter}"
    return importlib.import_module(name).Peer(**settings)
