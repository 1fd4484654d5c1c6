# SPDX-License-Identifier: Apache-2.0
"""A broken file gives an error that names file, place and finding; never a wrong answer."""

from __future__ import annotations

import json
import struct
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from vectorloom.errors import FormatError, ParameterError, ShapeError
from vectorloom.io import describe, read, write
from vectorloom.io.formats import FORMATS

# Nothing in these files says how long they are: a cut between rows leaves a shorter, valid file,
# and a cut within the last number leaves another number.
ROWS_MAY_GO = ("fvecs", "bvecs", "ivecs", "arrow-stream", "glove", "csv", "tsv", "jsonl")
LAST_ROW_MAY_CHANGE = ("glove", "csv", "tsv", "word2vec")


@pytest.mark.parametrize("mmap", [True, False])
def test_truncation_at_any_byte_gives_an_error_or_a_right_answer(sample, mmap):
    data = sample.path.read_bytes()
    step = (1 if len(data) < 1000 else 5) * (1 if mmap else 9)
    messages = []
    for length in range(0, len(data), step):
        sample.path.write_bytes(data[:length])
        try:
            found = read(sample.path, mmap=mmap)
        except (FormatError, ParameterError) as error:
            messages.append(str(error))
            continue
        check_prefix(sample, found, length)
    assert all(str(sample.path) in message for message in messages)


def check_prefix(sample, found, length):
    """What was read is what was written, but for what the format cannot know."""
    n = len(found)
    where = f"cut at byte {length}: {found!r}"
    assert n == len(sample.values) or sample.format in ROWS_MAY_GO, where
    sure = n - 1 if sample.format in LAST_ROW_MAY_CHANGE else n
    if sure > 0:
        np.testing.assert_array_equal(found.values[:sure], sample.values[:sure], where)
        if found.ids is not None:
            assert found.ids[:sure].tolist() == sample.ids[:sure], where


def test_truncation_never_breaks_describe(sample):
    data = sample.path.read_bytes()
    messages = []
    for length in range(0, len(data), 23):
        sample.path.write_bytes(data[:length])
        try:
            describe(sample.path)
        except (FormatError, ParameterError) as error:
            messages.append(str(error))
    assert all(str(sample.path) in message for message in messages)


@pytest.mark.parametrize("name", [n for n, f in FORMATS.items() if f.wrapped])
@pytest.mark.parametrize("wrapper", [".gz", ".bz2", ".xz", ".zst"])
def test_truncated_wrappers_are_format_errors(tmp_path, rng, name, wrapper):
    path = tmp_path / f"x{FORMATS[name].suffixes[0]}{wrapper}"
    write(path, rng.standard_normal((40, 4)), [f"w{i}" for i in range(40)])
    data = path.read_bytes()
    for length in range(4, len(data) - 1, max(1, len(data) // 15)):
        path.write_bytes(data[:length])
        with pytest.raises((FormatError, ParameterError)):
            read(path)


# Without hdf5: libhdf5 itself may loop for ever over a damaged heap of text.
@pytest.mark.parametrize("sample", [n for n in FORMATS if n != "hdf5"], indirect=True)
def test_flipped_bytes_never_raise_a_foreign_error(sample, rng):
    data = bytearray(sample.path.read_bytes())
    for at in rng.integers(0, len(data), 60):
        changed = data.copy()
        changed[at] ^= 1 << int(rng.integers(0, 8))
        sample.path.write_bytes(changed)
        try:
            read(sample.path)
        except (FormatError, ParameterError):
            continue


def expect(path, message, **arguments):
    with pytest.raises(FormatError, match=message) as caught:
        read(path, **arguments)
    assert str(path) in str(caught.value)


# --- headers that lie ----------------------------------------------------------------------------


def npy_bytes(shape, dtype="<f4", data=b""):
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def huge_files(folder):
    huge = 10**15
    (folder / "a.npy").write_bytes(npy_bytes((huge, 4)))
    (folder / "b.vec").write_text(f"{huge} 4\na 1 2 3 4\n")
    (folder / "c.bin").write_bytes(f"{huge} 4\na ".encode() + bytes(16))
    (folder / "d.fbin").write_bytes(struct.pack("<II", 2**32 - 1, 2**31) + bytes(64))
    (folder / "e.fvecs").write_bytes(struct.pack("<i", 2**30) + bytes(64))
    entry = {"dtype": "F32", "shape": [huge, 4], "data_offsets": [0, 16 * huge]}
    header = json.dumps({"x": entry}).encode()
    (folder / "f.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))
    (folder / "g.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{" + bytes(64))
    np.savez(folder / "h.npz", x=np.zeros((2, 2)))
    (folder / "i.vec").write_text(f"3 {huge}\na 1 2 3 4\n")
    return sorted(folder.iterdir())


def test_a_header_that_claims_petabytes_takes_no_memory(tmp_path):
    for path in huge_files(tmp_path):
        if path.suffix == ".npz":
            continue
        tracemalloc.start()
        try:
            for mmap in (True, False):
                with pytest.raises(FormatError):
                    read(path, mmap=mmap)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 50e6, path


def test_npy_messages_name_bytes_and_shapes(tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(npy_bytes((3, 2), data=bytes(23)))
    expect(path, r"file size: expected \d+ bytes for shape \(3, 2\), dtype float32; found \d+")
    path.write_bytes(npy_bytes((3, 2), data=bytes(25)))
    expect(path, "file size: expected")
    path.write_bytes(b"\x93NUMPY\x09\x00" + bytes(100))
    expect(path, "byte 6: expected npy version 1, 2 or 3; found version 9")
    path.write_bytes(npy_bytes((3, 2)).replace(b"'shape'", b"'shapo'"))
    expect(path, "the npy header is damaged: KeyError")
    path.write_bytes(npy_bytes((-3, 2)))
    expect(path, "expected a shape of counts")
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    expect(path, "found Python objects")
    np.save(path, np.zeros(3))
    with pytest.raises(ShapeError, match=r"expected a 2-d array \(n, dim\); found shape \(3,\)"):
        read(path)
    np.save(path, np.array(["a"]))
    expect(path, "expected real numbers; found <U1")


def test_an_array_appended_to_a_npy_file_is_not_lost_in_silence(tmp_path):
    with (tmp_path / "x.npy").open("wb") as file:
        np.save(file, np.zeros((2, 2)))
        np.save(file, np.zeros((2, 2)))
    expect(tmp_path / "x.npy", "file size")


def test_headerless_binary_messages_name_rows_and_bytes(tmp_path):
    write(tmp_path / "x.fvecs", np.ones((3, 2), "float32"))
    data = (tmp_path / "x.fvecs").read_bytes()
    path = tmp_path / "y.fvecs"
    path.write_bytes(data[:-1])
    expect(path, r"byte 24: expected rows of 12 bytes \(dim 2\); found 11 bytes after row 1")
    path.write_bytes(data[:12] + struct.pack("<i", 3) + data[16:])
    expect(path, r"row 1 \(byte 12\): expected dim 2; found 3")
    path = tmp_path / "y.fbin"
    path.write_bytes(struct.pack("<II", 3, 2) + bytes(23))
    expect(path, r"expected 32 bytes, as its header says \(3 x 2, fbin\); found 31 bytes")


def test_word2vec_messages_name_line_and_token(tmp_path):
    path = tmp_path / "x.vec"
    for text, message in (
        ("3 2\na 1 2\nb 3 4\n", "line 1: expected 3 rows, as the header says; found 2"),
        ("1 2\na 1 2\nb 3 4\n", "line 1: expected 1 rows, as the header says; found 2"),
        ("2 2\na 1 2\nb 3\n", r"line 3: expected a word and 2 numbers; found 1"),
        ("2 2\na 1 2\nb 3 4 5\n", r"line 3: expected a word and 2 numbers; found 3 fields"),
        ("2 2\na 1 2\nb 3 x4\n", r"line 3, number 2: expected a number; found b'x4'"),
        ("2 2\na 1 2\nb 3 1_0\n", r"line 3, number 2: expected a number; found b'1_0'"),
        ("0 0\n", "line 1: expected a dim of 1 to"),
    ):
        path.write_text(text)
        expect(path, message, format="word2vec")
    path = tmp_path / "x.txt"
    path.write_text("a 1 2\nb 3\n")
    expect(path, "line 2: expected a word and 2 numbers; found 1")


def test_word2vec_binary_messages_name_bytes(tmp_path):
    write(tmp_path / "x.bin", np.ones((3, 2), "float32"), ["a", "b", "c"])
    data = (tmp_path / "x.bin").read_bytes()
    path = tmp_path / "y.bin"
    path.write_bytes(data[:-3])
    expect(path, r"byte 26: expected 3 rows of dim 2; found the end of the file in row 2")
    path.write_bytes(data.replace(b"3 2\n", b"2 2\n"))
    expect(path, "expected 2 rows of dim 2; found more bytes after them")
    path.write_bytes(data.replace(b"3 2\n", b"9 2\n"))
    expect(path, "file size: expected at least 85 bytes for 9 rows of dim 2")


def test_bad_utf8_names_the_line_and_errors_lets_it_pass(tmp_path):
    path = tmp_path / "x.vec"
    path.write_bytes(b"2 2\na 1 2\nb\xff 3 4\n")
    expect(path, "line 3: expected UTF-8 text; found byte 0xff .*errors='replace'")
    assert read(path, errors="replace").ids.tolist() == ["a", "b�"]
    assert read(path, errors="ignore").ids.tolist() == ["a", "b"]
    path = tmp_path / "x.bin"
    path.write_bytes(b"1 1\nb\xff " + np.float32(1).tobytes())
    expect(path, "expected a word in UTF-8")
    assert read(path, errors="ignore").ids.tolist() == ["b"]
    with pytest.raises(ParameterError, match="errors must be"):
        read(path, errors="hope")


def test_table_messages_name_line_and_column(tmp_path):
    path = tmp_path / "x.csv"
    for rows, message in (
        ("1,2\n3,4,5\n", "line 3: expected 3 columns; found 2|line 2: expected 3 columns; found 2"),
        ("a,0.5,1\nb,0.5\n", "line 3: expected 3 columns; found 2"),
        ("a,0.5,1\nb,x,2\n", "line 3, column 'v0': expected a number; found 'x'"),
        ("a,0.5,1\nb,,2\n", "line 3, column 'v0': expected a number; found an empty cell"),
        ("a,0.5,1\nb,NA,2\n", "line 3, column 'v0': expected a number; found 'NA'"),
    ):
        path.write_text("id,v0,v1\n" + rows)
        expect(path, message, vectors=["v0", "v1"])
    path.write_text('e\n"[1, 2]"\n"[1, ...]"\n')
    expect(path, r"line 3, column 'e': .*the numbers are lost", vectors="e")
    path.write_text('e\n"[1, 2]"\n"[1, 2, 3]"\n')
    expect(path, "line 3, column 'e': expected 2 numbers, as above; found 3")
    path.write_text('e\n"[0,5 1,5]"\n')
    expect(path, "line 2, column 'e': expected a list of numbers; found '5 1'")
    path.write_bytes(b"id,v0,v1\na,1,2.5\nb\xff,3,4.5\n")
    expect(path, "line 3: expected UTF-8 text; found byte 0xff")
    path.write_bytes(b"name,v0,v1\na,1,2.5\nb\xff,3,4.5\n")
    expect(path, "line 3: expected UTF-8 text; found byte 0xff")


def test_json_messages_name_line_and_field(tmp_path):
    path = tmp_path / "x.jsonl"
    good = '{"id": "a", "emb": [1.5, 2]}\n'
    for line, message in (
        ('{"id": "b", "emb": [1.5, 2}', "line 2, character 26: expected JSON"),
        ('{"id": "b", "emb": [1.5]}', "line 2, field 'emb': expected 2 numbers; found 1"),
        ('{"id": "b"}', "line 2, field 'emb': expected a list of numbers; found None"),
        ('{"id": "b", "emb": [1.5, "x"]}', "line 2, field 'emb', number 2: expected a number"),
        ('{"id": "b", "emb": [1.5, null]}', "line 2, field 'emb', number 2: .* found None"),
        ('{"emb": [1.5, 2]}', "line 2, id 'id': expected text or an integer; found None"),
        ('{"id": 3, "emb": [1.5, 2]}', "one type|fields of one type|text or"),
        ("7", "line 2: expected a JSON object; found '7'"),
    ):
        path.write_text(good + line + "\n")
        expect(path, message)


def test_arrow_messages_name_column_and_row(tmp_path):
    for name in ("x.parquet", "x.arrow"):
        path = tmp_path / name
        for rows, message in (
            ([[1.0, 2.0], [3.0]], "column 'emb', row 1: expected 2 numbers; found 1"),
            ([[1.0, 2.0], None], "column 'emb', row 1: expected a vector; found null"),
            ([[1.0, 2.0], [3.0, None]], "column 'emb', row 1, component 1: .*found null"),
            ([[], []], "column 'emb', row 0: expected at least one number"),
        ):
            save(path, pa.table({"emb": pa.array(rows, pa.list_(pa.float32()))}))
            expect(path, message)
        save(path, pa.table({"id": [1, None], "emb": [[1.0], [2.0]]}))
        expect(path, "ids 'id', row 1: expected an id; found null")
        assert read(path, ids=False).ids is None


def save(path, table):
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)


# --- what is no file of vectors at all -----------------------------------------------------------


def test_empty_missing_and_folder_say_so(tmp_path):
    path = tmp_path / "vectors.npy"
    path.touch()
    expect(path, r"empty file \(0 bytes\)")
    with pytest.raises(FileNotFoundError, match=r"Did you mean vectors\.npy\?"):
        read(tmp_path / "vector.npy")
    with pytest.raises(FileNotFoundError, match=r"the folder .* does not exist either"):
        read(tmp_path / "no" / "x.npy")
    expect(tmp_path, r"found a folder\. It holds vectors\.npy")
    with pytest.raises(ParameterError, match="path must be a str or a path; got int"):
        read(3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"\x80\x04\x95abcdefgh", "a pickle, which is never loaded"),
        (b"VLOOM\0" + bytes(60), r"Open it with vl\.open"),
        (b"\xba\x16\x4f\x2f" + bytes(60), "a fastText model"),
        (b"PK\x03\x04" + bytes(26) + b"model/data.pkl", "a PyTorch file"),
        (b"just some words\nand more of them\n", "no known format"),
        (bytes(range(256)), "no known format"),
    ],
)
def test_foreign_files_are_named_with_what_to_do(tmp_path, data, message):
    path = tmp_path / "x.dat"
    path.write_bytes(data)
    expect(path, message)


def test_binary_formats_inside_gzip_say_to_decompress(tmp_path):
    import gzip

    np.save(tmp_path / "x.npy", np.ones((2, 2)))
    (tmp_path / "x.npy.gz").write_bytes(gzip.compress((tmp_path / "x.npy").read_bytes()))
    expect(tmp_path / "x.npy.gz", "npy inside gzip cannot be read in place. Decompress it first")
    expect(tmp_path / "x.npy.gz", "decompress it first", format="npy")
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(b""))
    expect(tmp_path / "e.csv.gz", "a gzip file with nothing in it")
