# SPDX-License-Identifier: Apache-2.0
"""What is written is what is read: every format, every dtype it holds, ids and metadata."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vectorloom.errors import ParameterError
from vectorloom.io import Vectors, read, write
from vectorloom.io.formats import FORMATS

ANY_DTYPE = ("npy", "npz", "parquet", "arrow", "arrow-stream", "hdf5", "safetensors")
TEXT = ("word2vec", "glove", "csv", "tsv", "jsonl")
WITH_METADATA = ("npz", "parquet", "arrow", "arrow-stream", "hdf5", "csv", "tsv", "jsonl")
DTYPES = ("float16", "float32", "float64", "int8", "uint8", "int32", "int64")
# Without denormals: fvecs that hold nothing else have the bits of small integers.
FLOATS = st.floats(width=32, allow_subnormal=False)
FAST = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def path_for(folder, name):
    return folder / f"x{FORMATS[name].suffixes[0]}"


def test_every_format_gives_back_values_ids_and_its_name(sample):
    found = read(sample.path)
    assert found.source == (sample.path, sample.format)
    assert found.values.dtype == sample.values.dtype
    np.testing.assert_array_equal(found.values, sample.values)
    assert (None if found.ids is None else found.ids.tolist()) == sample.ids


@pytest.mark.parametrize("wrapper", [".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize("name", [n for n, f in FORMATS.items() if f.wrapped])
def test_wrapped_formats_read_the_same_as_plain_ones(tmp_path, name, wrapper):
    values = np.random.default_rng(0).standard_normal((4, 3)).astype("float32")
    path = tmp_path / f"x{FORMATS[name].suffixes[0]}{wrapper}"
    write(path, values, list("abcd"))
    found = read(path)
    np.testing.assert_array_equal(found.values, values)
    assert found.ids.tolist() == list("abcd")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ANY_DTYPE)
def test_typed_formats_keep_the_dtype_bit_for_bit(tmp_path, rng, name, dtype):
    values = (rng.standard_normal((17, 3)) * 50).astype(dtype)
    write(path_for(tmp_path, name), values)
    found = read(path_for(tmp_path, name))
    assert found.values.dtype == np.dtype(dtype)
    assert found.values.tobytes() == values.tobytes()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8", "int32"])
@pytest.mark.parametrize("name", TEXT)
def test_text_formats_give_back_the_exact_numbers_in_the_dtype_asked_for(
    tmp_path, rng, name, dtype
):
    values = (rng.standard_normal((9, 4)) * 50).astype(dtype)
    if name in ("word2vec", "glove") and dtype == "int32":
        values = np.abs(values)
    ids = [f"w{i}" for i in range(9)]
    write(path_for(tmp_path, name), values, ids)
    # A table of integers alone cannot tell its vector by itself; the writer's names do.
    found = read(path_for(tmp_path, name), dtype=dtype)
    assert found.values.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found.values, values)


@FAST
@given(
    values=hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(2, 6)), elements=FLOATS)
)
@pytest.mark.parametrize("name", ["npy", "parquet", "fvecs", "word2vec-binary", "glove", "csv"])
def test_any_float32_survives_nan_and_infinity_included(name, values):
    with tempfile.TemporaryDirectory() as folder:
        path = path_for(Path(folder), name)
        ids = None if name in ("npy", "fvecs") else [f"w{i}" for i in range(len(values))]
        write(path, values, ids)
        np.testing.assert_array_equal(np.array(read(path).values), values)


@FAST
@given(
    words=st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
        min_size=1,
        max_size=6,
    )
)
@pytest.mark.parametrize("name", ["npz", "parquet", "arrow", "hdf5", "jsonl"])
def test_any_text_survives_as_id(name, words):
    with tempfile.TemporaryDirectory() as folder:
        path = path_for(Path(folder), name)
        write(path, np.zeros((len(words), 2), "float32"), words)
        assert read(path).ids.tolist() == words


@pytest.mark.parametrize("name", ["npz", "parquet", "arrow", "hdf5", "safetensors", "jsonl", "csv"])
def test_int_ids_stay_int64_to_the_ends_of_their_range(tmp_path, name):
    ids = np.array([-(2**63), 2**63 - 1, 0])
    write(path_for(tmp_path, name), np.full((3, 2), 0.5, "float32"), ids)
    found = read(path_for(tmp_path, name)).ids
    assert found.dtype == np.int64
    assert found.tolist() == ids.tolist()


@pytest.mark.parametrize("name", ["csv", "tsv", "jsonl"])
def test_ids_that_only_look_like_numbers_stay_text(tmp_path, name):
    write(path_for(tmp_path, name), np.full((3, 2), 0.5, "float32"), ["007", "1", "+2"])
    assert read(path_for(tmp_path, name)).ids.tolist() == ["007", "1", "+2"]


@pytest.mark.parametrize("name", WITH_METADATA)
def test_metadata_columns_survive_with_their_types(tmp_path, rng, name):
    metadata = pa.table(
        {"year": [1999, 2001, -3], "score": [0.5, 1.25, 2.0], "text": ["a b", 'say "x",', "é\n"]}
    )
    write(path_for(tmp_path, name), rng.standard_normal((3, 4)), ["a", "b", "c"], metadata)
    found = read(path_for(tmp_path, name)).metadata
    assert found.select(metadata.column_names).to_pydict() == metadata.to_pydict()
    kinds = [
        str(kind).replace("large_", "") for kind in found.select(["year", "score"]).schema.types
    ]
    assert kinds == ["int64", "double"]


@pytest.mark.parametrize("name", ["parquet", "arrow", "jsonl", "csv"])
def test_missing_entries_of_metadata_stay_missing(tmp_path, name):
    metadata = {"t": ["a", None, ""], "n": [1, None, 3]}
    write(path_for(tmp_path, name), np.full((3, 2), 0.5), ["a", "b", "c"], metadata)
    assert read(path_for(tmp_path, name)).metadata.to_pydict() == metadata


@pytest.mark.parametrize("name", ["parquet", "arrow", "arrow-stream"])
def test_nested_metadata_survives_in_arrow(tmp_path, name):
    metadata = pa.table({"tags": [["a"], [], None], "at": [{"x": 1}, {"x": 2}, {"x": 3}]})
    write(path_for(tmp_path, name), np.zeros((3, 2)), metadata=metadata)
    assert read(path_for(tmp_path, name)).metadata.to_pylist() == metadata.to_pylist()


@pytest.mark.parametrize(
    "name", ["npy", "npz", "parquet", "arrow", "fbin", "safetensors", "hdf5", "csv"]
)
def test_no_rows_keep_their_dim(tmp_path, name):
    write(path_for(tmp_path, name), np.empty((0, 6), "float32"))
    assert read(path_for(tmp_path, name)).values.shape == (0, 6)


def test_formats_that_store_the_dim_in_each_row_refuse_no_rows(tmp_path):
    with pytest.raises(ParameterError, match="no rows"):
        write(tmp_path / "x.fvecs", np.empty((0, 6), "float32"))


def test_limit_gives_the_first_rows_in_every_format(sample):
    whole = read(sample.path)
    for limit in (0, 1, 3, 7, 100):
        found = read(sample.path, limit=limit)
        np.testing.assert_array_equal(found.values, whole.values[:limit])
        assert len(found) == min(limit, 7)
        if whole.ids is not None:
            assert found.ids.tolist() == whole.ids[:limit].tolist()


def test_without_mmap_the_values_are_writable_memory(sample):
    values = read(sample.path, mmap=False).values
    assert values.flags.writeable
    assert not isinstance(values, np.memmap)
    values[0] = 0


@pytest.mark.parametrize("name", ["npy", "fvecs", "bvecs", "ivecs", "fbin", "safetensors", "hdf5"])
def test_mapped_formats_are_read_only_maps(tmp_path, name):
    values = np.arange(12).reshape(4, 3).astype(FORMATS[name].dtype or "float32")
    write(path_for(tmp_path, name), values)
    found = read(path_for(tmp_path, name)).values
    assert isinstance(found, np.memmap)
    assert not found.flags.writeable


def test_arrow_files_are_viewed_without_a_copy(tmp_path):
    write(tmp_path / "x.arrow", np.ones((100_000, 8), "float32"))
    before = pa.total_allocated_bytes()
    values = read(tmp_path / "x.arrow").values
    assert pa.total_allocated_bytes() - before < 100_000
    assert not values.flags.owndata


def test_reading_into_another_dtype_rounds_floats_and_refuses_to_alter_others(tmp_path):
    write(tmp_path / "x.npy", np.array([[1.0, 2.5], [3.0, 1e30]]))
    assert read(tmp_path / "x.npy", dtype="float32").values.dtype == np.float32
    with pytest.raises(ParameterError, match=r"row 0, component 1 is 2\.5, which int8 cannot"):
        read(tmp_path / "x.npy", dtype="int8")
    with pytest.raises(ParameterError, match="row 1, component 1"):
        read(tmp_path / "x.npy", dtype="float16")


def test_vectors_bring_their_ids_and_metadata_to_the_next_file(tmp_path):
    write(tmp_path / "a.parquet", np.ones((2, 3)), ["x", "y"], {"n": [1, 2]})
    write(tmp_path / "b.jsonl", read(tmp_path / "a.parquet"))
    found = read(tmp_path / "b.jsonl")
    assert found.ids.tolist() == ["x", "y"]
    assert found.metadata.to_pydict() == {"n": [1, 2]}


def test_vectors_behave_as_an_array():
    found = Vectors(np.eye(3, dtype="float32"))
    assert len(found) == 3
    assert found.dim == 3
    assert np.asarray(found) is found.values
    assert np.asarray(found, dtype="float64").dtype == np.float64
    assert np.array(found) is not found.values
    assert "3 x 3 float32" in repr(found)


def test_blocks_join_seamlessly(tmp_path, monkeypatch, rng):
    """Text and binary readers give the same whatever the size of their blocks."""
    values = rng.standard_normal((50, 3)).astype("float32")
    ids = [f"word{i}" for i in range(50)]
    for name in ("word2vec", "word2vec-binary", "glove", "jsonl"):
        path = path_for(tmp_path, name)
        write(path, values, ids)
        for size in (64, 97, 1000):
            monkeypatch.setattr("vectorloom.io.word2vec.BLOCK_BYTES", size)
            monkeypatch.setattr("vectorloom.io.lines.line_blocks.__defaults__", (size, None))
            found = read(path)
            np.testing.assert_array_equal(found.values, values)
            assert found.ids.tolist() == ids
