# SPDX-License-Identifier: Apache-2.0
"""Examples of adapters run where their libraries are installed."""

from __future__ import annotations

from importlib.util import find_spec

ADAPTERS = {
    "vectorloom/clients/http.py": "httpx",
    "vectorloom/clients/langchain.py": "langchain_core",
    "vectorloom/clients/llama_index.py": "llama_index",
}

collect_ignore = [path for path, package in ADAPTERS.items() if find_spec(package) is None]
