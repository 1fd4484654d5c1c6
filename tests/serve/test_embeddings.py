# SPDX-License-Identifier: Apache-2.0
"""Vectors of texts as OpenAI's clients ask for them, and search by text through mounted models."""

from __future__ import annotations

import asyncio
import base64
import io

import numpy as np
import pytest
from typer.testing import CliRunner

import vectorloom as vl
from asgi_client import Client
from vectorloom.cli.main import app as command
from vectorloom.serve import make_app, open_models
from vectorloom.serve.calls import NPY
from vectorloom.serve.models import Model

TEXTS = [
    "sort a list in place", "sorted returns a new list", "open a file for reading",
    "close a file", "read a line of a file", "reverse a list",
]  # fmt: skip
C = "/v1/collections/docs"


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "docs.vl"
    vl.learn.LatentSemantic(n_components=8).fit(TEXTS).save(path)
    return path


@pytest.fixture
def ask(tmp_path, learned):
    models = open_models([f"docs={learned}"]) | {"lengths": Lengths()}
    app = make_app(tmp_path, "localhost", None, models=models)
    yield Client(app)
    app.close()


class Lengths:
    """An encoder of two numbers a text."""

    def encode(self, texts):
        return np.array([[len(text), 3.0, 4.0] for text in texts])


def test_texts_become_the_vectors_of_the_model(ask, learned):
    status, answer = ask("POST", "/v1/embeddings", {"model": "docs", "input": TEXTS[:2]})
    assert (status, answer["object"], answer["model"]) == (200, "list", "docs")
    assert [(each["object"], each["index"]) for each in answer["data"]] == [
        ("embedding", 0),
        ("embedding", 1),
    ]
    expected = vl.open(learned).transform(TEXTS[:2])
    np.testing.assert_allclose([e["embedding"] for e in answer["data"]], expected, rtol=1e-6)
    assert answer["usage"] == {"prompt_tokens": 10, "total_tokens": 10}
    body = {"model": "docs", "input": TEXTS[0], "encoding_format": "base64", "user": "me"}
    [row] = ask("POST", "/v1/embeddings", body)[1]["data"]
    packed = np.frombuffer(base64.b64decode(row["embedding"]), "<f4")
    np.testing.assert_array_equal(packed, expected[0])
    reply = ask.ask("POST", "/v1/embeddings", {"model": "docs", "input": TEXTS[:2]}, accept=NPY)
    np.testing.assert_array_equal(np.load(io.BytesIO(reply.body)), expected)


def test_fewer_dimensions_are_the_first_ones_at_unit_length(ask):
    body = {"model": "docs", "input": TEXTS[:3]}
    whole = [each["embedding"] for each in ask("POST", "/v1/embeddings", body)[1]["data"]]
    cut = ask("POST", "/v1/embeddings", body | {"dimensions": 3})[1]["data"]
    for long, short in zip(np.array(whole), cut, strict=True):
        expected = long[:3] / np.linalg.norm(long[:3])
        np.testing.assert_allclose(short["embedding"], expected, rtol=1e-5)
    # Vectors of any length are cut as they are.
    body = {"model": "lengths", "input": "four", "dimensions": 2}
    assert ask("POST", "/v1/embeddings", body)[1]["data"][0]["embedding"] == [4.0, 3.0]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"model": "docs"}, 422, "lacks input"),
        ({"input": "a"}, 422, "lacks model"),
        ({"model": "other", "input": "a"}, 404, "no model"),
        ({"model": "docs", "input": ""}, 422, "not empty"),
        ({"model": "docs", "input": []}, 422, "not empty"),
        ({"model": "docs", "input": ["a", ""]}, 422, "not empty"),
        ({"model": "docs", "input": [1, 2]}, 422, "token numbers"),
        ({"model": "docs", "input": [[1], [2]]}, 422, "token numbers"),
        ({"model": "docs", "input": ["a"] * 2049}, 422, "2,048"),
        ({"model": "docs", "input": {"a": 1}}, 422, "list"),
        ({"model": "docs", "input": "a", "dimensions": 0}, 422, "dimensions"),
        ({"model": "docs", "input": "a", "dimensions": 100}, 422, "has 8"),
        ({"model": "docs", "input": "a", "encoding_format": "int8"}, 422, "encoding_format"),
        ({"model": "docs", "input": "a", "truncate": True}, 422, "unknown fields"),
    ],
)
def test_what_cannot_be_embedded_is_refused(ask, body, status, message):
    got, answer = ask("POST", "/v1/embeddings", body)
    assert (got, message in answer["error"]["message"]) == (status, True), answer


def test_models_are_listed(ask):
    listed = ask("GET", "/v1/models")[1]["data"]
    assert [(each["id"], each["object"]) for each in listed] == [
        ("docs", "model"),
        ("lengths", "model"),
    ]


def test_the_client_of_openai_is_answered(ask):
    openai = pytest.importorskip("openai")
    import httpx

    class Direct(httpx.BaseTransport):
        def handle_request(self, request):
            async def go():
                plain = httpx.Request(
                    request.method, request.url, headers=request.headers, content=request.read()
                )
                answer = await httpx.ASGITransport(ask.app).handle_async_request(plain)
                return answer.status_code, answer.headers, await answer.aread()

            status, headers, body = asyncio.run(go())
            return httpx.Response(status, headers=headers, content=body)

    web = httpx.Client(transport=Direct())
    client = openai.OpenAI(base_url="http://localhost/v1", api_key="none", http_client=web)
    answer = client.embeddings.create(model="docs", input=TEXTS[:2], dimensions=4)
    assert [len(each.embedding) for each in answer.data] == [4, 4]
    plain = ask("POST", "/v1/embeddings", {"model": "docs", "input": TEXTS[:2], "dimensions": 4})
    expected = [each["embedding"] for each in plain[1]["data"]]
    np.testing.assert_allclose([each.embedding for each in answer.data], expected, rtol=1e-6)
    with pytest.raises(openai.NotFoundError, match="no model"):
        client.embeddings.create(model="other", input="a")


# ---- collections with a model -------------------------------------------------------------------


def test_texts_are_stored_and_found_by_the_model_of_the_collection(ask):
    status, made = ask("PUT", C, {"dim": 8, "encoder": "docs"})
    assert (status, made["fields"][0]["encoder"]["name"]) == (201, "docs")
    body = {"ids": list(range(6)), "texts": TEXTS}
    assert ask("POST", C + "/points", body) == (200, {"stored": 6})
    found = ask("POST", C + "/search", {"text": "how do I sort a list", "k": 2, "explain": True})
    assert {hit["id"] for hit in found[1]["hits"]} == {0, 1}
    assert found[1]["metric"] == "cosine"
    assert "exact" in found[1]["plan"]
    many = ask("POST", C + "/search", {"texts": TEXTS[:2], "k": 1, "model": "docs"})[1]
    assert [hits[0]["id"] for hits in many["queries"]] == [0, 1]
    words = ask("POST", C + "/search", {"text": "reverse", "by": "words"})[1]
    assert [hit["id"] for hit in words["hits"]] == [5]


def test_without_a_model_text_is_looked_up_by_its_words_or_by_one_that_is_named(ask, learned):
    ask("PUT", C, {"dim": 8})
    vectors = vl.open(learned).transform(TEXTS).tolist()
    ask("POST", C + "/points", {"ids": list(range(6)), "vectors": vectors, "texts": TEXTS})
    assert ask("POST", C + "/search", {"text": "reverse"})[1]["hits"][0]["id"] == 5
    named = ask("POST", C + "/search", {"text": "sorted new list", "model": "docs", "k": 1})[1]
    assert named["hits"][0]["id"] == 1


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"text": "a", "model": "lengths"}, 422, "two models"),
        ({"text": "a", "model": "docs", "by": "words"}, 422, "asks no model"),
        ({"vector": [1] * 8, "model": "docs"}, 422, "take text"),
        ({"vector": [1] * 8, "by": "words"}, 422, "take text"),
        ({"text": 5}, 422, "must be text"),
        ({"texts": [1]}, 422, "entry 0"),
        ({"texts": []}, 422, "one text"),
        ({"text": "a", "vector": [1] * 8}, 422, "give one of"),
        ({"text": "a", "by": "sound"}, 422, "'vectors' or 'words'"),
        ({"text": "zzz"}, 422, "zero"),
    ],
)
def test_questions_that_no_model_answers_are_refused(ask, body, status, message):
    ask("PUT", C, {"dim": 8, "encoder": "docs"})
    ask("POST", C + "/points", {"ids": [0], "texts": TEXTS[:1]})
    got, answer = ask("POST", C + "/search", body)
    assert (got, message in answer["error"]["message"]) == (status, True), answer


def test_a_collection_knows_its_model_after_a_restart_and_refuses_another(ask, tmp_path, learned):
    ask("PUT", C, {"dim": 8, "encoder": "docs"})
    ask("POST", C + "/points", {"ids": [0], "texts": TEXTS[:1]})
    ask.app.close()
    with_it = make_app(tmp_path, "localhost", None, models=open_models([f"docs={learned}"]))
    assert Client(with_it)("POST", C + "/search", {"text": TEXTS[0]})[1]["hits"][0]["id"] == 0
    with_it.close()
    without = make_app(tmp_path, "localhost", None)
    status, answer = Client(without)("POST", C + "/search", {"text": TEXTS[0]})
    assert (status, "--model" in answer["error"]["message"]) == (422, True)
    assert Client(without)("POST", C + "/points/count")[1] == {"points": 1}
    without.close()
    other = vl.learn.LatentSemantic(n_components=8).fit([*TEXTS[::-1], "place a new line"])
    wrong = make_app(tmp_path, "localhost", None, models={"docs": other})
    status, answer = Client(wrong)("POST", C + "/search", {"text": TEXTS[0]})
    assert (status, "another one was offered" in answer["error"]["message"]) == (422, True)
    assert Client(wrong)("POST", C + "/points/count")[1] == {"points": 1}
    wrong.close()


def test_models_that_are_none_are_refused_before_the_server_listens(tmp_path, learned):
    (tmp_path / "text").write_text("no model")
    rows = np.random.default_rng(0).standard_normal((50, 4), dtype=np.float32)
    vl.select.KMeans(2, random_state=0).fit(rows).save(tmp_path / "means.vl")
    for mounts, message in (
        (["docs"], "NAME=PATH"),
        (["=x"], "NAME=PATH"),
        ([f"a={learned}", f"a={learned}"], "twice"),
        ([f"a={tmp_path / 'nothing'}"], "nothing here"),
        ([f"a={tmp_path / 'text'}"], "neither"),
    ):
        with pytest.raises(vl.ParameterError, match=message):
            open_models(mounts)
    for bad in (vl.open(tmp_path / "means.vl"), lambda texts: None):
        with pytest.raises(vl.ParameterError, match="does not turn texts"):
            make_app(tmp_path, "localhost", None, models={"bad": bad})
    result = CliRunner().invoke(command, ["serve", str(tmp_path), "--model", "nonsense"])
    assert (result.exit_code, "NAME=PATH" in result.output) == (1, True)


def test_a_tokenizer_counts_tokens_where_the_model_has_one():
    class WithTokens(Lengths):
        def tokenizer(self, texts):
            return {"input_ids": [[1] * (len(text.split()) + 2) for text in texts]}

    assert Model("a", WithTokens()).tokens(["one two", "three"]) == 7
    assert Model("a", Lengths()).tokens(["one two.", "three"]) == 4
