# SPDX-License-Identifier: Apache-2.0
"""Collections from elsewhere: over HTTP, and as the stores that other libraries ask for.

`Client` and `AsyncClient` speak to ``vectorloom serve``. Adapters are imported from their modules,
each of which needs its library: `vectorloom.clients.langchain`, `vectorloom.clients.llama_index`,
`vectorloom.clients.mteb`.
"""

from __future__ import annotations

from vectorloom.clients.awaited import AsyncClient, AsyncRemoteCollection
from vectorloom.clients.http import Client, RemoteCollection
from vectorloom.clients.operation import Operation
from vectorloom.clients.wire import ServerError

__all__ = [
    "AsyncClient",
    "AsyncRemoteCollection",
    "Client",
    "Operation",
    "RemoteCollection",
    "ServerError",
]
