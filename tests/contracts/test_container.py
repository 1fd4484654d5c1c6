# SPDX-License-Identifier: Apache-2.0
"""The native file: whole or refused, whatever happened to it."""

from __future__ import annotations

import json
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vectorloom as vl
from vectorloom.io.container import (
    FORMAT_VERSION,
    MAGIC,
    is_container,
    open_container,
    read_header,
    register_loader,
    write_container,
)
from vectorloom.io.strings import pack_strings, unpack_strings

ARRAYS = {
    "floats": np.arange(10, dtype=np.float32),
    "none": np.empty((0, 3)),
    "ints": np.arange(6).reshape(2, 3),
    "bytes": np.arange(70, dtype=np.uint8),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_container(tmp_path / "a.vl", "index.exact", {"answer": 42}, ARRAYS)
    return tmp_path / "a.vl"


def with_header(raw: bytes, header: dict) -> bytes:
    """The same file with another header and good checksums: what a foreign writer could make."""
    old = 24 + struct.unpack_from("<Q", raw, 8)[0]
    text = json.dumps(header).encode()
    start = struct.pack("<6sHQI", MAGIC, FORMAT_VERSION, len(text), zlib.crc32(text))
    prefix = start + struct.pack("<I", zlib.crc32(start)) + text
    return prefix + bytes(-len(prefix) % 64) + raw[-(-old // 64) * 64 :]


def test_arrays_and_meta_come_back_mapped_aligned_and_read_only(path: Path) -> None:
    file = open_container(path, verify=True)
    assert (file.kind, file.meta, file.version) == ("index.exact", {"answer": 42}, FORMAT_VERSION)
    assert file.file_size == path.stat().st_size
    assert list(file.arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        got = file.arrays[name]
        assert got.dtype == array.dtype
        np.testing.assert_array_equal(got, array)
        assert got.ctypes.data % 64 == 0 or got.size == 0
        with pytest.raises(ValueError, match="read-only"):
            got[...] = 0


def test_the_header_is_read_without_the_arrays(path: Path) -> None:
    header = read_header(path)
    assert header["kind"] == "index.exact"
    assert header["arrays"]["ints"]["shape"] == (2, 3)
    assert header["arrays"]["bytes"]["nbytes"] == 70
    assert is_container(path)


def test_truncation_at_every_byte_is_refused(path: Path, tmp_path: Path) -> None:
    raw = path.read_bytes()
    cut = tmp_path / "cut.vl"
    for size in range(len(raw)):
        cut.write_bytes(raw[:size])
        with pytest.raises(vl.FormatError, match=r"cut\.vl: (is truncated|not a vectorloom file)"):
            open_container(cut)


def test_a_flipped_bit_in_any_byte_is_found(path: Path, tmp_path: Path) -> None:
    raw = path.read_bytes()
    flipped = tmp_path / "flipped.vl"
    for byte in range(len(raw)):
        changed = bytearray(raw)
        changed[byte] ^= 1 << (5 * byte) % 8
        flipped.write_bytes(changed)
        with pytest.raises(vl.FormatError, match=r"flipped\.vl"):
            open_container(flipped, verify=True)


def test_appended_bytes_are_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(vl.FormatError, match="It was appended to"):
        open_container(path)


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY\x01\x00", b"PAR1", b"hello, world" * 10, b"VLOO\0\0" + bytes(60)]
)
def test_foreign_files_are_refused_with_the_way_to_read_them(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(vl.FormatError, match=r"not a vectorloom file.*vl\.read"):
        vl.open(tmp_path / "x")


def test_another_version_is_named(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    struct.pack_into("<H", raw, 6, FORMAT_VERSION + 1)
    struct.pack_into("<I", raw, 20, zlib.crc32(raw[:20]))
    path.write_bytes(raw)
    with pytest.raises(
        vl.FormatError, match=f"version {FORMAT_VERSION + 1}; this vectorloom reads"
    ):
        open_container(path)


def entry(**change: object) -> dict:
    good = {"dtype": "<f4", "shape": [10], "offset": 0, "crc32": 0}
    return {"kind": "index.exact", "meta": {}, "data_size": 256, "arrays": {"a": good | change}}


HOSTILE = {
    "huge shape": entry(shape=[2**40, 2**40]),
    "negative shape": entry(shape=[-1]),
    "boolean shape": entry(shape=[True]),
    "fractional shape": entry(shape=[1.5]),
    "shape of text": entry(shape="10"),
    "object dtype": entry(dtype="|O"),
    "unknown dtype": entry(dtype="<f16"),
    "dtype list": entry(dtype=["<f4"]),
    "offset outside": entry(offset=1 << 50),
    "offset not aligned": entry(offset=4),
    "offset negative": entry(offset=-64),
    "no offset": {"kind": "index.exact", "meta": {}, "data_size": 256, "arrays": {"a": {}}},
    "arrays a list": {"kind": "index.exact", "meta": {}, "data_size": 256, "arrays": []},
    "arrays a number": {"kind": "index.exact", "meta": {}, "data_size": 256, "arrays": 3},
    "kind a number": entry() | {"kind": 3},
    "meta a list": entry() | {"meta": []},
    "size of text": entry() | {"data_size": "256"},
    "size too large": entry() | {"data_size": 1 << 60},
    "empty": {},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_with_good_checksums_is_refused(path: Path, name: str) -> None:
    raw = path.read_bytes()
    path.write_bytes(with_header(raw, entry()))
    assert open_container(path).arrays["a"].shape == (10,)  # what is changed is what is refused
    path.write_bytes(with_header(raw, HOSTILE[name]))
    with pytest.raises(vl.FormatError, match=r"a\.vl: .*(header is not as expected|is truncated)"):
        vl.open(path)


def test_an_unknown_kind_is_refused_and_nothing_odd_is_imported(path: Path) -> None:
    raw = path.read_bytes()
    for kind in ("index.from_the_future", "antigravity", "learn.x", "index", "../../etc"):
        path.write_bytes(with_header(raw, entry() | {"kind": kind}))
        with pytest.raises(vl.FormatError, match=r"cannot open; it opens .*index\.exact"):
            vl.open(path)


def exact_header(path: Path) -> dict:
    header = read_header(path)
    start = -(-header["header_size"] // 64) * 64
    arrays = {
        name: {**{k: v for k, v in e.items() if k != "nbytes"}, "offset": e["offset"] - start}
        for name, e in header["arrays"].items()
    }
    return {
        "kind": header["kind"],
        "meta": header["meta"],
        "arrays": arrays,
        "data_size": header["file_size"] - start,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"n": 11}, {"n": -1}, {"n": "12"}, {"n": 1 << 40}, {"dim": 0}, {"dim": 5}, {"dim": None},
        {"ids": "int64"}, {"next_id": -5}, {"params": {}, "n": 3}, {"params": {"metric": "dot"}},
        {"params": {"colour": 3}}, {"params": {"metric": "hamming"}}, {"params": []},
        {"params": {"metric": "l2", "dtype": "int8"}}, {"screened": 1, "n": None},
    ],
)  # fmt: skip
def test_an_exact_file_whose_parts_disagree_is_refused(tmp_path: Path, change: dict) -> None:
    x = np.random.default_rng(0).standard_normal((12, 4))
    path = tmp_path / "e.vl"
    vl.index.Exact(screen="int8").fit(x, list("lkjihgfedcba")).save(path)
    header = exact_header(path)
    raw = path.read_bytes()
    path.write_bytes(with_header(raw, header))
    assert len(vl.open(path)) == 12  # the rewriting itself does no harm
    header["meta"] |= change
    path.write_bytes(with_header(raw, header))
    with pytest.raises(vl.FormatError, match=r"e\.vl"):
        vl.open(path)


@pytest.mark.parametrize("name", ["values", "norms", "ids.text", "ids.offsets", "ids.ranks"])
def test_an_exact_file_without_one_of_its_arrays_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "e.vl"
    vl.index.Exact().fit(np.eye(4), list("dcba")).save(path)
    header = exact_header(path)
    del header["arrays"][name]
    path.write_bytes(with_header(path.read_bytes(), header))
    with pytest.raises(vl.FormatError, match=f"'{name}' is missing"):
        vl.open(path)


@pytest.mark.parametrize(
    ("metric", "dtype", "screen"),
    [("cosine", "float32", "int8"), ("l2", "float16", "int8"), ("ip", "int8", None),
     ("hamming", "bits", None)],
)  # fmt: skip
def test_damage_inside_arrays_never_crashes_an_unverified_open(
    metric, dtype, screen, rng, tmp_path: Path
) -> None:
    n = 90
    x = rng.standard_normal((n, 20)).astype(np.float32)
    x = x > 0 if metric == "hamming" else x
    path = tmp_path / "e.vl"
    vl.index.Exact(metric, dtype, screen).fit(x, [f"k{i * 7 % n}" for i in range(n)]).save(path)
    raw = path.read_bytes()
    start = read_header(path)["header_size"]
    for trial in range(150):
        damaged = bytearray(raw)
        for at in rng.integers(start, len(raw) - 8, 20).tolist():
            if trial % 3 == 0:
                damaged[at] ^= 1 << int(rng.integers(8))
            else:
                damaged[at : at + 4] = (b"\xff\xff\xff\x7f", rng.bytes(4))[trial % 3 - 1]
        path.write_bytes(damaged)
        with pytest.raises(vl.FormatError):
            vl.open(path, verify=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NaN among damaged norms
            try:  # an answer or FormatError: anything else fails the test
                index = vl.open(path)
                index.search(x[:3], 7)
                index.search(x[:3], 7, where=np.arange(n) % 2 == 0)
                index.range_search(x[:2], 3.0)
                index.ids_.tolist()
            except vl.FormatError:
                continue


def test_writing_replaces_in_one_step_and_leaves_no_other_file(path: Path) -> None:
    old = open_container(path)
    path.chmod(0o640)
    write_container(path, "index.exact", {}, {"floats": ARRAYS["floats"] + 1})
    assert [p.name for p in path.parent.iterdir()] == ["a.vl"]
    assert path.stat().st_mode & 0o777 == 0o640
    assert open_container(path).arrays["floats"][0] == 1
    assert old.arrays["floats"][0] == 0  # who has the old file open keeps it


def test_a_link_is_followed(path: Path) -> None:
    link = path.parent / "link.vl"
    link.symlink_to(path)
    write_container(link, "index.exact", {"new": 1}, {})
    assert link.is_symlink()
    assert open_container(path).meta == {"new": 1}


def test_a_place_that_is_no_file_is_refused_and_kept(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_container(tmp_path, "index.exact", {}, {})
    with pytest.raises(OSError, match="not a regular file"):
        write_container("/dev/null", "index.exact", {}, {})
    with pytest.raises(FileNotFoundError, match="nothing was written"):
        write_container(tmp_path / "no" / "a.vl", "index.exact", {}, {})
    assert Path("/dev/null").is_char_device()


def test_what_cannot_be_stored_is_refused_before_writing(tmp_path: Path) -> None:
    with pytest.raises(vl.ParameterError, match="'o' has dtype object"):
        write_container(tmp_path / "a", "index.exact", {}, {"o": np.array([None])})
    with pytest.raises(vl.ParameterError, match=r"kind must look like 'index\.exact'"):
        register_loader("exact", print)
    assert not list(tmp_path.iterdir())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(), max_size=6)))
def test_any_text_survives_packing(values: list[str]) -> None:
    assert unpack_strings(*pack_strings(values)).tolist() == values


@pytest.mark.parametrize(
    ("text", "offsets"),
    [
        (b"abc", [0, 2]),
        (b"abc", [1, 3]),
        (b"abc", [0, 3, 2, 3]),
        (b"abc", []),
        (b"\xff\xfe", [0, 2]),
    ],
)
def test_broken_packed_text_is_refused(text: bytes, offsets: list[int]) -> None:
    with pytest.raises(vl.FormatError, match="strings"):
        unpack_strings(np.frombuffer(text, np.uint8), np.array(offsets, np.int64))
