# SPDX-License-Identifier: Apache-2.0
"""Laws of `vectorloom info` and `vectorloom convert`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

import vectorloom as vl
from vectorloom.cli.main import app


@pytest.fixture
def rows(rng: np.random.Generator) -> NDArray[np.float32]:
    return rng.standard_normal((30, 7)).astype(np.float32)


def invoke(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("suffix", ["npy", "npz", "parquet", "fvecs", "fbin", "csv", "jsonl"])
def test_info_tells_the_shape_of_every_format(
    suffix: str, tmp_path: Path, rows: NDArray[np.float32]
) -> None:
    path = tmp_path / f"rows.{suffix}"
    vl.write(path, rows)
    code, out, errors = invoke("info", path, "--json")
    assert (code, errors) == (0, "")
    report = json.loads(out)
    assert report["path"] == str(path)
    assert "30" in out
    assert report["dim"] == 7
    code, text, _ = invoke("info", path)
    assert code == 0
    assert "7" in text


def test_info_of_a_saved_index_is_its_header(tmp_path: Path, rows: NDArray[np.float32]) -> None:
    path = tmp_path / "rows.vloom"
    vl.index.Exact(metric="ip").fit(rows).save(path)
    code, out, errors = invoke("info", path, "--json")
    assert (code, errors) == (0, "")
    report = json.loads(out)
    assert (report["format"], report["kind"]) == ("vectorloom", "index.exact")
    assert report["meta"]["params"]["metric"] == "ip"
    code, text, _ = invoke("info", path)
    assert code == 0
    assert "index.exact" in text
    assert "params.metric: ip" in text
    assert "values: <f4 [30 × 7], 840 bytes" in text


@pytest.mark.parametrize("damage", ["truncated", "foreign", "empty"])
def test_info_of_a_broken_file_is_1_and_names_it(
    damage: str, tmp_path: Path, rows: NDArray[np.float32]
) -> None:
    path = tmp_path / "rows.npy"
    np.save(path, rows)
    data = path.read_bytes()
    path.write_bytes(
        {"truncated": data[:200], "foreign": b"\x00\x01\x02?" * 9, "empty": b""}[damage]
    )
    code, out, errors = invoke("info", path)
    assert (code, out) == (1, "")
    assert "rows.npy" in errors
    assert "bug" not in errors


def test_convert_keeps_vectors_and_ids(tmp_path: Path, rows: NDArray[np.float32]) -> None:
    source, target = tmp_path / "rows.parquet", tmp_path / "rows.npz"
    ids = [f"row{i}" for i in range(30)]
    vl.write(source, rows, ids=ids)
    code, out, errors = invoke("convert", source, target, "--json")
    assert (code, errors) == (0, "")
    assert json.loads(out) == {
        "source": str(source),
        "target": str(target),
        "rows": 30,
        "dim": 7,
        "dtype": "float32",
        "has_ids": True,
        "metadata": [],
        "bytes": target.stat().st_size,
    }
    found = vl.read(target)
    assert np.array_equal(found.values, rows)
    assert found.ids is not None
    assert found.ids.tolist() == ids


def test_convert_refuses_to_lose_ids_and_columns_unless_told_to_drop_them(
    tmp_path: Path, rows: NDArray[np.float32]
) -> None:
    source, target = tmp_path / "rows.parquet", tmp_path / "rows.fvecs"
    vl.write(source, rows, ids=list(range(30)), metadata={"title": [f"t{i}" for i in range(30)]})
    code, _, errors = invoke("convert", source, target)
    assert code == 1
    assert "ids or metadata" in errors
    assert not target.exists()
    code, out, _ = invoke("convert", source, target, "--drop-ids", "--drop-metadata", "--json")
    assert code == 0
    assert (json.loads(out)["has_ids"], json.loads(out)["metadata"]) == (False, [])
    assert np.array_equal(vl.read(target).values, rows)
    assert invoke("convert", source, target, "--drop-ids", "--ids", "id")[0] == 2


def test_convert_narrows_when_asked(tmp_path: Path, rows: NDArray[np.float32]) -> None:
    source, target = tmp_path / "rows.npy", tmp_path / "half.npy"
    np.save(source, rows)
    assert invoke("convert", source, target, "--dtype", "float16")[0] == 0
    assert np.array_equal(np.load(target), rows.astype(np.float16))


def test_format_overrules_the_suffix(tmp_path: Path, rows: NDArray[np.float32]) -> None:
    source, target = tmp_path / "rows.npy", tmp_path / "rows.bin"
    np.save(source, rows)
    code, _, errors = invoke("convert", source, target, "--format", "npy")
    assert (code, errors) == (0, "")
    assert np.array_equal(np.load(target), rows)


def test_key_of_the_source_can_be_named(tmp_path: Path, rows: NDArray[np.float32]) -> None:
    source, target = tmp_path / "two.npz", tmp_path / "one.npy"
    np.savez(source, train=rows, test=rows[:4])
    assert invoke("convert", source, target, "--vectors", "test")[0] == 0
    assert np.array_equal(np.load(target), rows[:4])


@pytest.mark.parametrize(
    "arguments",
    [("rows.npy", "out.nonsense"), ("missing.npy", "out.npy"), ("rows.npy", "no/folder/out.npy")],
)
def test_convert_that_fails_is_1_and_leaves_nothing(
    arguments: tuple[str, str], tmp_path: Path, rows: NDArray[np.float32]
) -> None:
    np.save(tmp_path / "rows.npy", rows)
    code, out, errors = invoke("convert", *(tmp_path / name for name in arguments))
    assert (code, out) == (1, "")
    assert errors.startswith("vectorloom: ")
    assert "bug" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["rows.npy"]
