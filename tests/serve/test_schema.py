# SPDX-License-Identifier: Apache-2.0
"""The description and the server agree: schemathesis finds no 5xx and nothing undescribed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from asgi_client import Client
from vectorloom.serve import Limits, make_app
from vectorloom.serve.calls import ARROW, NPY
from vectorloom.serve.openapi import document

schemathesis = pytest.importorskip("schemathesis")


@schemathesis.serializer("application/x-tar", NPY, ARROW)
def raw(context, value):
    """Send what was made up as bytes."""
    value = getattr(value, "data", value)
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


OPERATIONS = [(method, path) for path, methods in document()["paths"].items() for method in methods]
PLACES = {"name": "films", "alias": "live", "id": "0", "snapshot": "one"}


class Lengths:
    """An encoder of two numbers a text."""

    def encode(self, texts):
        return np.array([[len(text), 1.0] for text in texts])


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    app = make_app(
        tmp_path_factory.mktemp("home"), "localhost", None, models={"lengths": Lengths()},
        import_folder=tmp_path_factory.mktemp("in"), recall_share=1.0,
        limits=Limits(body_bytes=1 << 20),
    )  # fmt: skip
    schema = schemathesis.openapi.from_dict(document())
    schema.app = immortal(app)
    schema.config.update(base_url="http://localhost")
    yield schema, Client(app)
    app.close()


@pytest.fixture
def filled(served):
    """The server with a collection, an alias and a snapshot, which the test before may remove."""
    schema, ask = served
    films = "/v1/collections/films"
    if ask("PUT", films, {"dim": 2, "index": ["year"], "encoder": "lengths"})[0] == 201:
        points = {"ids": ["a", "b"], "vectors": [[1, 0], [0, 1]], "texts": ["one", None]}
        ask("POST", films + "/points", points)
    ask("PUT", "/v1/aliases/live", {"collection": "films"})
    status, begun = ask("POST", films + "/snapshots", {"snapshot": "one"})
    if status == 202:
        ask.finished(begun)
    return schema


def immortal(app):
    """Keep the application from being closed after each request."""

    async def call(scope, receive, send):
        if scope["type"] == "http":
            await app(scope, receive, send)
            return
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    return call


def agree(schema, method, path, mode, n):
    from schemathesis import checks

    operation = schema[path][method]
    wanted = [
        checks.not_a_server_error,
        checks.CHECKS.get_one("status_code_conformance"),
        checks.CHECKS.get_one("content_type_conformance"),
        checks.CHECKS.get_one("response_schema_conformance"),
    ]

    @settings(
        max_examples=n, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case):
        places = dict(case.path_parameters or {})
        if mode == schemathesis.GenerationMode.POSITIVE:
            # Names that are there: others end at 404.
            case.path_parameters = {name: PLACES[name] for name in places}
        case.call_and_validate(checks=wanted)

    run()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_what_is_described_is_what_comes(filled, method, path, mode):
    agree(filled, method, path, schemathesis.GenerationMode[mode], 4)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_what_is_described_is_what_comes_in_many_examples(filled, method, path, mode):
    agree(filled, method, path, schemathesis.GenerationMode[mode], 150)
