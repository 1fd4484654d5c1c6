# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests to a server: ``python -m benchmarks.store.bodies [--rows N] [--dim D]``.

The application is called without a socket, one request after the other. Told are the bytes of a
body and the milliseconds of processor time of one request, client's packing not counted: an upsert
of ``--rows`` new points, a search of 100 queries, a page of 1,000 points with their vectors. The
library's own call of the same stands beside them: what is above it is the price of HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import tempfile
import time
import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import machine
from vectorloom.serve import make_app
from vectorloom.serve.calls import ARROW, JSON, NPY

C = "/v1/collections/c"
ROUNDS = 5


def call(
    app: Any, method: str, path: str, kind: str, body: bytes, args: Any = None, accept: str = JSON
) -> bytes:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    query = urllib.parse.urlencode({"args": json.dumps(args)}) if args is not None else ""
    headers = [(b"host", b"localhost"), (b"content-type", kind.encode())]
    headers.append((b"accept", accept.encode()))
    scope = {
        "type": "http", "method": method, "path": path, "headers": headers,
        "query_string": query.encode(),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    answer = b"".join(message["body"] for message in sent[1:])
    assert sent[0]["status"] in (200, 201), answer
    return answer


def arrow(columns: dict[str, Any]) -> bytes:
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def fixed(rows: Any) -> Any:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])


def npy(rows: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, rows)
    return file.getvalue()


def b64(rows: Any) -> dict[str, str]:
    return {"base64": base64.b64encode(rows.tobytes()).decode()}


def timed(work: Any) -> float:
    """Return the least milliseconds of processor time of a few rounds."""
    found = []
    for turn in range(ROUNDS + 1):
        began = time.process_time()
        work(turn)
        found.append((time.process_time() - began) * 1e3)
    return min(found[1:])


def upserts(app: Any, rows: Any) -> dict[str, Any]:
    n = len(rows)

    def bodies(turn: int) -> dict[str, tuple[str, bytes, Any]]:
        ids = list(range(turn * n, turn * n + n))
        columns = {"id": pa.array(ids), "vector": fixed(rows)}
        return {
            "JSON": (JSON, json.dumps({"ids": ids, "vectors": rows.tolist()}).encode(), None),
            "base64": (JSON, json.dumps({"ids": ids, "vectors": b64(rows)}).encode(), None),
            "npy": (NPY, npy(rows), {"first_id": ids[0]}),
            "Arrow": (ARROW, arrow(columns), None),
        }

    found = {}
    for form in ("JSON", "base64", "npy", "Arrow"):
        ready = [bodies(turn)[form] for turn in range(ROUNDS + 1)]
        # A collection of its own, too small to be sealed: nothing goes on in the background.
        own = f"{C}-{form}"
        call(app, "PUT", own, JSON, json.dumps({"dim": rows.shape[1]}).encode())
        ms = timed(lambda turn, r=ready, c=own: call(app, "POST", c + "/points", *r[turn]))
        found[form] = {"bytes": len(ready[0][1]), "ms": ms}
    return found


def searches(app: Any, queries: Any) -> dict[str, Any]:
    args = {"k": 10, "payloads": False}
    forms = {
        "JSON": (JSON, json.dumps(args | {"vectors": queries.tolist()}).encode(), None, JSON),
        "base64": (JSON, json.dumps(args | {"vectors": b64(queries)}).encode(), None, JSON),
        "npy": (NPY, npy(queries), args, NPY),
        "Arrow": (ARROW, arrow({"vector": fixed(queries)}), args, ARROW),
    }
    found = {}
    for form, (kind, body, more, accept) in forms.items():
        ms = timed(lambda _, s=(kind, body, more, accept): call(app, "POST", C + "/search", *s))
        found[form] = {"bytes": len(body), "ms": ms}
    return found


def pages(app: Any) -> dict[str, Any]:
    body = json.dumps({"limit": 1000, "vectors": True}).encode()
    found = {}
    for form, accept in (("JSON", JSON), ("Arrow", ARROW)):
        answer = call(app, "POST", C + "/points/scroll", JSON, body, None, accept)
        ms = timed(lambda _, a=accept: call(app, "POST", C + "/points/scroll", JSON, body, None, a))
        found[form] = {"bytes": len(answer), "ms": ms}
    return found


def library(app: Any, rows: Any, queries: Any) -> dict[str, float]:
    c, n = app.service.home.get("c"), len(rows)
    stored = timed(lambda turn: c.upsert(np.arange(turn * n, turn * n + n), rows))
    return {"upsert": stored, "search": timed(lambda _: c.search(queries, 10, payloads=False))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((args.rows, args.dim), dtype=np.float32)
    queries = rng.standard_normal((100, args.dim), dtype=np.float32)
    with tempfile.TemporaryDirectory() as home:
        app = make_app(Path(home), "localhost", None, n_jobs=1, recall_share=0.0)
        call(app, "PUT", C, JSON, json.dumps({"dim": args.dim}).encode())
        found = {
            "machine": machine.describe(),
            "rows": args.rows,
            "dim": args.dim,
            "library": library(app, rows, queries),
            "upsert": upserts(app, rows),
            "search": searches(app, queries),
            "page": pages(app),
        }
        app.close()
    text = json.dumps(found, indent=1)
    print(text)
    if args.out is not None:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
