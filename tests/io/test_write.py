# SPDX-License-Identifier: Apache-2.0
"""A file is written whole or not at all, and nothing is dropped in silence."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from vectorloom.errors import CapacityError, DependencyError, ParameterError, ShapeError
from vectorloom.io import read, write
from vectorloom.io.formats import FORMATS

NO_IDS = ("npy", "fvecs", "bvecs", "ivecs", "fbin", "f16bin", "u8bin", "i8bin", "ibin")

X = np.arange(6, dtype="float32").reshape(2, 3)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "x.npy"
    write(path, X)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("vectorloom.io.npy._write_array", fail)
    with pytest.raises(CapacityError, match=r"the disk is full .* nothing was written"):
        write(path, X + 1)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["x.npy"]


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_full_disk_is_told_apart_in_every_format(tmp_path, name):
    """A limit on the size of files stands in for the end of the disk."""
    resource = pytest.importorskip("resource")
    values = np.random.default_rng(0).integers(0, 100, (4000, 32)).astype("float32")
    ids = None if name in NO_IDS else [f"w{i}" for i in range(len(values))]
    ids = range(len(values)) if name == "safetensors" else ids
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(CapacityError, match="the disk is full"):
            write(tmp_path / f"x{FORMATS[name].suffixes[0]}", values, ids)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == []


def test_ctrl_c_leaves_no_litter(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("vectorloom.io.npy._write_array", stop)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "x.npy", X)
    assert os.listdir(tmp_path) == []


def test_the_bytes_are_on_the_disk_before_the_name_changes(tmp_path, monkeypatch):
    events = []
    fsync, rename = os.fsync, Path.replace

    def note_sync(fd):
        events.append("sync")
        fsync(fd)

    def note_rename(self, target):
        events.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_rename)
    write(tmp_path / "x.npy", X)
    assert events[:2] == ["sync", "rename"]


def test_a_folder_that_cannot_be_written_says_so(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="does not exist; create it first"):
        write(tmp_path / "no" / "x.npy", X)
    with pytest.raises(ParameterError, match="found a folder"):
        write(tmp_path, X, format="npy")

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("vectorloom.io.npy.write", refuse)
    with pytest.raises(PermissionError, match="is not writable; nothing was written"):
        write(tmp_path / "x.npy", X)


def test_a_link_stays_a_link(tmp_path):
    write(tmp_path / "x.npy", X)
    (tmp_path / "link.npy").symlink_to(tmp_path / "x.npy")
    write(tmp_path / "link.npy", X + 1)
    assert (tmp_path / "link.npy").is_symlink()
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), X + 1)


@pytest.mark.parametrize("name", ["npy", "fvecs", "fbin"])
def test_formats_without_a_place_for_ids_refuse_them(tmp_path, name):
    with pytest.raises(ParameterError, match=r"cannot carry ids\. Write .*, or leave ids out"):
        write(tmp_path / f"x.{name}", X, ids=["a", "b"])
    with pytest.raises(ParameterError, match=r"cannot carry metadata columns\. Write"):
        write(tmp_path / f"x.{name}", X, metadata={"n": [1, 2]})
    assert os.listdir(tmp_path) == []


def test_what_a_format_cannot_hold_is_refused_with_one_that_can(tmp_path):
    for name, arguments, message in (
        ("x.safetensors", {"ids": ["a", "b"]}, "cannot carry str ids. Write parquet or npz"),
        ("x.safetensors", {"metadata": {"t": ["a", "b"]}}, "metadata column 't'"),
        ("x.vec", {}, "name each row; give ids="),
        ("x.vec", {"ids": ["a b", "c"]}, "row 0 is 'a b'; word2vec separates words by spaces"),
        ("x.bin", {"ids": ["a", ""]}, "row 1 is ''"),
        ("x.glove", {"ids": ["a", "b"], "metadata": {"n": [1, 2]}}, "cannot carry metadata"),
        ("x.npz", {"metadata": {"n": [1, None]}}, "'n' .missing entries.; write parquet"),
        ("x.npz", {"ids": ["a", "b\0"]}, "cannot keep the NUL"),
        ("x.npz", {"metadata": {"vectors": [1, 2]}}, "rename that column"),
        ("x.parquet", {"metadata": {"vector": [1, 2]}}, "Rename them"),
        ("x.csv", {"metadata": {"v1": [1, 2]}}, "Rename them"),
        ("x.jsonl", {"metadata": {"b": [b"x", b"y"]}}, "JSON cannot hold it"),
        ("x.csv", {"metadata": {"b": [[1], [2]]}}, r"csv files cannot hold .*Write parquet"),
        ("x.h5", {"metadata": {"b": [[1], [2]]}}, "numbers and text; 'b' is neither"),
        ("x.parquet", {"ids": ["a", "\ud800"]}, "parquet files cannot hold"),
        ("x.txt", {}, "used for word2vec and for GloVe"),
        ("x", {}, "the name has no suffix; give format="),
        ("x.npy.gz", {}, "npy is not written compressed"),
        ("x.fbin", {"dtype": "float64"}, "fbin files hold float32; got dtype='float64'"),
        ("x.npy", {"dtype": "complex64"}, "dtype must be a type of real numbers"),
        ("x.npy", {"dtype": "float3"}, "dtype must be a numpy type"),
    ):
        with pytest.raises(ParameterError, match=message):
            write(tmp_path / name, X, **arguments)
    assert os.listdir(tmp_path) == []


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ParameterError, match="row 1 holds NaN or infinity, which JSON has not"):
        write(tmp_path / "x.jsonl", np.array([[1.0], [np.nan]]))


def test_numbers_that_the_format_would_alter_are_refused(tmp_path):
    write(tmp_path / "x.fvecs", X.astype("float64") / 3)
    for name, values, message in (
        ("x.bvecs", [[0, 256]], "row 0, component 1 is 256, which uint8 cannot hold"),
        ("x.bvecs", [[0.5, 1]], r"row 0, component 0 is 0\.5"),
        ("x.i8bin", [[1, 2], [-129, 0]], "row 1, component 0 is -129"),
        ("x.fbin", [[1e300, 0]], r"1e\+300, which float32 cannot hold"),
        ("x.fbin", [[2**53 + 1, 0]], "which float32 cannot hold"),
    ):
        with pytest.raises(ParameterError, match=message):
            write(tmp_path / name, values)


def test_the_row_named_is_that_of_the_whole_array(tmp_path, monkeypatch):
    monkeypatch.setattr("vectorloom.io.rows.row_blocks.__defaults__", (64,))
    values = np.zeros((100, 2))
    values[70, 1] = 1e300
    with pytest.raises(ParameterError, match="row 70, component 1"):
        write(tmp_path / "x.fbin", values)


def test_shapes_are_checked(tmp_path):
    for values, message in (
        (
            [1.0, 2.0],
            r"must be 2-d \(n, dim\); got shape \(2,\)\. For one vector pass values\[None",
        ),
        (np.zeros((2, 0)), "at least one component"),
        ([[1, 2], [3]], "rows of equal length"),
    ):
        with pytest.raises(ShapeError, match=message):
            write(tmp_path / "x.npy", values)
    with pytest.raises(ParameterError, match="must hold real numbers; got dtype"):
        write(tmp_path / "x.npy", [["a", "b"]])
    with pytest.raises(ShapeError, match=r"ids must have one entry a row: expected shape \(2,\)"):
        write(tmp_path / "x.npz", X, ids=["a"])
    with pytest.raises(ShapeError, match="metadata must have one entry a row: expected 2; got 1"):
        write(tmp_path / "x.npz", X, metadata={"n": [1]})
    with pytest.raises(ParameterError, match=r"ids must be all int .* or all str"):
        write(tmp_path / "x.npz", X, ids=["a", 1])
    with pytest.raises(ParameterError, match="ids must be all int"):
        write(tmp_path / "x.npz", X, ids=[0.5, 1])


def test_maps_are_written_block_by_block(tmp_path):
    write(tmp_path / "a.npy", np.ones((1000, 4)))
    mapped = read(tmp_path / "a.npy").values
    for name in ("b.npy", "b.fbin", "b.fvecs", "b.arrow", "b.parquet", "b.npz"):
        write(tmp_path / name, mapped)
        assert len(read(tmp_path / name)) == 1000


def test_equal_content_gives_equal_bytes(tmp_path):
    for name in ("csv.gz", "npz", "parquet", "arrow", "safetensors", "jsonl"):
        for stem in ("a", "b"):
            write(tmp_path / f"{stem}.{name}", X, [1, 2])
        assert (tmp_path / f"a.{name}").read_bytes() == (tmp_path / f"b.{name}").read_bytes()


def test_hdf5_without_h5py_gives_the_pip_line(tmp_path, monkeypatch):
    import builtins

    real = builtins.__import__

    def without(name, *arguments, **named):
        if name.startswith("h5py"):
            raise ImportError(name)
        return real(name, *arguments, **named)

    (tmp_path / "x.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    monkeypatch.setattr(builtins, "__import__", without)
    for action in (lambda: write(tmp_path / "y.h5", X), lambda: read(tmp_path / "x.h5")):
        with pytest.raises(DependencyError, match=r'pip install "vectorloom\[hdf5\]"'):
            action()
    assert os.listdir(tmp_path) == ["x.h5"]
