# SPDX-License-Identifier: Apache-2.0
"""Collections from the command line: made, filled, asked, checked, repaired."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

import vectorloom as vl
from vectorloom.cli.main import app


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result


@pytest.fixture
def home(tmp_path):
    vectors = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)
    years = [1990 + i % 20 for i in range(60)]
    table = pa.table({"id": list(range(60)), "vector": list(vectors), "year": years})
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    vl.write(tmp_path / "queries.npy", vectors[:2])
    return tmp_path


def test_a_file_becomes_a_collection_that_answers(home):
    c = home / "c"
    made = run("collection", "create", c, "--dim", 8, "--index", "year", "--json")
    assert json.loads(made.stdout)["index"] == ["year"]
    stored = run("collection", "import", c, home / "in.parquet", "--json")
    assert json.loads(stored.stdout) == {"stored": 60, "points": 60}
    where = '{"year": {"$gte": 2000}}'
    counted = run("collection", "count", c, "--where", where, "--json")
    assert json.loads(counted.stdout) == {"points": 30}
    found = run("collection", "search", c, home / "queries.npy", "-k", 1, "--json")
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert [line["hits"][0]["id"] for line in lines] == [0, 1]
    assert lines[1]["hits"][0]["payload"] == {"year": 1991}
    assert "1991" in run("collection", "search", c, home / "queries.npy", "--explain").stdout
    run("collection", "export", c, home / "out.parquet", "--where", where)
    assert len(vl.read(home / "out.parquet")) == 30
    removed = run("collection", "delete", c, "--where", where, "--json")
    assert json.loads(removed.stdout) == {"removed": 30, "points": 30}
    run("collection", "optimize", c)
    assert "30" in run("collection", "info", c).stdout
    assert json.loads(run("info", c, "--json").stdout)["points"] == 30
    assert "collection" in run("info", c).stdout


def test_damage_is_told_and_repaired_from_a_snapshot(home):
    c = home / "c"
    run("collection", "create", c, "--dim", 8)
    run("collection", "import", c, home / "in.parquet")
    run("collection", "snapshot", c, home / "saved")
    assert "every checksum is right" in run("verify", c).stdout
    (segment,) = (c / "segments").iterdir()
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-1])
    told = json.loads(run("verify", c, "--json", code=1).stdout)
    assert told["sound"] is False
    assert "60 points are lost" in run("repair", c, code=1).output
    assert "60 points" in run("repair", c, "--snapshot", home / "saved").stdout
    run("verify", c)
    run("collection", "restore", home / "saved", home / "again")
    run("collection", "alias", home / "live", home / "again")
    assert json.loads(run("collection", "count", home / "live", "--json").stdout)["points"] == 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["collection", "info", "nowhere"], "no collection here"),
        (["collection", "count", "C", "--where", "{year"], "--where is not JSON"),
        (["collection", "count", "C", "--where", '{"a": {"$x": 1}}'], "operators are"),
        (["collection", "delete", "C", "--where", "{}"], "would remove all points"),
        (["collection", "create", "C", "--dim", "8"], "holds a collection already"),
    ],
)
def test_mistakes_are_told_in_words(home, arguments, message):
    run("collection", "create", home / "c", "--dim", 8)
    given = [str(home / "c") if a == "C" else a for a in arguments]
    assert message in run(*given, code=1).output
