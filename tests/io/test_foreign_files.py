# SPDX-License-Identifier: Apache-2.0
"""Files of other libraries are read as those libraries read them, and they read ours."""

from __future__ import annotations

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from vectorloom.io import read, write

WORDS = ["the", "of", "naïve", "東京", "a_b"]


@pytest.fixture
def values(rng):
    return rng.standard_normal((5, 4)).astype("float32")


# --- numpy ---------------------------------------------------------------------------------------


def test_npy_of_numpy_is_read_in_both_orders_and_byte_orders(tmp_path, values):
    for array in (values, np.asfortranarray(values), values.astype(">f8"), values > 0):
        np.save(tmp_path / "x.npy", array)
        for mmap in (True, False):
            found = read(tmp_path / "x.npy", mmap=mmap).values
            assert found.dtype.isnative
            np.testing.assert_array_equal(found, array)


def test_numpy_reads_our_npy_and_npz(tmp_path, values):
    write(tmp_path / "x.npy", values)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), values)
    write(tmp_path / "x.npz", values, WORDS, {"n": range(5)})
    with np.load(tmp_path / "x.npz", allow_pickle=False) as found:
        np.testing.assert_array_equal(found["vectors"], values)
        assert found["ids"].tolist() == WORDS
        assert found["n"].tolist() == list(range(5))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_of_numpy_takes_ids_beside_their_vectors(tmp_path, values, save):
    save(
        tmp_path / "x.npz",
        corpus=values,
        queries=values[:2],
        corpus_ids=np.array(WORDS),
        query_ids=np.array([b"q1", b"q2"]),
    )
    assert read(tmp_path / "x.npz", vectors="corpus").ids.tolist() == WORDS
    assert read(tmp_path / "x.npz", vectors="queries").ids.tolist() == ["q1", "q2"]


def test_text_of_savetxt_is_a_table_of_numbers(tmp_path, values):
    for delimiter in (" ", ",", "\t", ";"):
        np.savetxt(tmp_path / "x.txt", values, delimiter=delimiter)
        found = read(tmp_path / "x.txt")
        assert found.ids is None
        np.testing.assert_array_equal(found.values, values)


# --- pyarrow -------------------------------------------------------------------------------------


def list_types(dtype):
    kind = pa.from_numpy_dtype(dtype)
    return [pa.list_(kind), pa.large_list(kind), pa.list_(kind, 4)]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8"])
@pytest.mark.parametrize("container", ["parquet", "arrow", "feather", "arrows"])
def test_list_columns_of_pyarrow_are_read_in_every_list_type(tmp_path, rng, dtype, container):
    values = (rng.standard_normal((6, 4)) * 9).astype(dtype)
    for kind in list_types(np.dtype(dtype)):
        table = pa.table({"id": range(6), "embedding": pa.array(list(values), type=kind)})
        path = tmp_path / f"x.{container}"
        save_arrow(path, table, chunk=4)
        found = read(path)
        assert found.values.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(found.values, values)
        assert found.ids.tolist() == list(range(6))


def save_arrow(path, table, chunk):
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=chunk)
    elif path.suffix == ".feather":
        pa.feather.write_feather(table, str(path), compression="lz4", chunksize=chunk)
    else:
        make = pa.ipc.new_file if path.suffix == ".arrow" else pa.ipc.new_stream
        with make(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=chunk)


def test_tensor_columns_and_dictionary_ids_of_pyarrow_are_read(tmp_path, values):
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(values)
    table = pa.table({"key": pa.array(WORDS).dictionary_encode(), "vector": tensor})
    for name in ("x.parquet", "x.arrow"):
        save_arrow(tmp_path / name, table, chunk=2)
        found = read(tmp_path / name)
        np.testing.assert_array_equal(found.values, values)
        assert found.ids.tolist() == WORDS


def test_components_in_numbered_columns_of_parquet_are_put_together(tmp_path, values):
    columns = {f"dim_{i}": values[:, i] for i in range(4)}
    pq.write_table(pa.table({"word": WORDS, **columns, "count": range(5)}), tmp_path / "x.parquet")
    found = read(tmp_path / "x.parquet")
    np.testing.assert_array_equal(found.values, values)
    assert found.ids.tolist() == WORDS
    assert found.metadata.column_names == ["count"]


def test_pyarrow_reads_our_parquet_and_arrow(tmp_path, values):
    write(tmp_path / "x.parquet", values, WORDS, {"n": range(5)})
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.column_names == ["id", "vector", "n"]
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 4)
    assert table["vector"].to_pylist() == values.tolist()
    write(tmp_path / "x.feather", values, WORDS)
    assert pa.feather.read_table(tmp_path / "x.feather")["id"].to_pylist() == WORDS


def test_parquet_of_half_floats_keeps_them(tmp_path, values):
    write(tmp_path / "x.parquet", values, dtype="float16")
    assert read(tmp_path / "x.parquet").values.dtype == np.float16


# --- h5py ----------------------------------------------------------------------------------------


def test_hdf5_of_ann_benchmarks_gives_each_of_its_keys(tmp_path, values):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file.attrs["distance"] = "angular"
        file["train"] = values
        file["test"] = values[:2]
        file["neighbors"] = np.arange(6, dtype="int32").reshape(2, 3)
        file["distances"] = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(read(tmp_path / "x.hdf5").values, values)
    np.testing.assert_array_equal(read(tmp_path / "x.hdf5", vectors="test").values, values[:2])
    neighbors = read(tmp_path / "x.hdf5", vectors="neighbors").values
    assert neighbors.dtype == np.int32
    assert neighbors.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_hdf5_in_chunks_groups_and_foreign_byte_order_is_read(tmp_path, values):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=512) as file:
        file.create_dataset("set/emb", data=values.astype(">f4"), chunks=(2, 4), compression="gzip")
        file["set/title"] = WORDS
    found = read(tmp_path / "x.h5", ids="set/title")
    assert found.values.dtype == np.dtype("float32")
    np.testing.assert_array_equal(found.values, values)
    assert found.ids.tolist() == WORDS


def test_h5py_reads_our_hdf5(tmp_path, values):
    h5py = pytest.importorskip("h5py")
    write(tmp_path / "x.h5", values, WORDS)
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["vectors"][:], values)
        assert file["ids"].asstr()[:].tolist() == WORDS


# --- safetensors ---------------------------------------------------------------------------------


def test_safetensors_are_read_and_written_as_the_package_does(tmp_path, values):
    package = pytest.importorskip("safetensors.numpy")
    package.save_file({"emb": values, "bias": values[0]}, tmp_path / "x.safetensors", {"a": "b"})
    np.testing.assert_array_equal(read(tmp_path / "x.safetensors").values, values)
    write(tmp_path / "y.safetensors", values, range(5), {"n": [0.5] * 5})
    found = package.load_file(tmp_path / "y.safetensors")
    np.testing.assert_array_equal(found["vectors"], values)
    assert found["ids"].tolist() == list(range(5))


def test_bfloat16_tensors_are_widened_exactly(tmp_path):
    bits = np.array([[0x3F80, 0xC000], [0x7F80, 0x3E20]], "<u2")
    header = b'{"w":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}}'
    data = len(header).to_bytes(8, "little") + header + bits.tobytes()
    (tmp_path / "x.safetensors").write_bytes(data)
    found = read(tmp_path / "x.safetensors").values
    assert found.tolist() == [[1.0, -2.0], [np.inf, 0.15625]]


# --- gensim --------------------------------------------------------------------------------------


@pytest.fixture
def keyed(values):
    models = pytest.importorskip("gensim.models")
    keyed = models.KeyedVectors(4)
    keyed.add_vectors(WORDS, values)
    return keyed


@pytest.mark.parametrize("binary", [False, True])
def test_word2vec_files_of_gensim_are_read(tmp_path, values, keyed, binary):
    for name in ("x.vec", "x.bin", "x.txt", "x.bin.gz"):
        keyed.save_word2vec_format(str(tmp_path / name), binary=binary)
        found = read(tmp_path / name)
        assert found.source.format == ("word2vec-binary" if binary else "word2vec")
        assert sorted(found.ids) == sorted(WORDS)
        order = [WORDS.index(word) for word in found.ids]
        np.testing.assert_array_equal(found.values, values[order])


@pytest.mark.parametrize("name", ["x.vec", "x.bin", "x.vec.gz"])
def test_gensim_reads_our_word2vec_files(tmp_path, values, name):
    models = pytest.importorskip("gensim.models")
    write(tmp_path / name, values, WORDS)
    found = models.KeyedVectors.load_word2vec_format(str(tmp_path / name), binary=name == "x.bin")
    assert found.index_to_key == WORDS
    np.testing.assert_array_equal(found.vectors, values)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # gensim's own
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_gensim_reads_our_glove_file(tmp_path, values):
    models = pytest.importorskip("gensim.models")
    write(tmp_path / "x.glove", values, WORDS)
    found = models.KeyedVectors.load_word2vec_format(tmp_path / "x.glove", no_header=True)
    np.testing.assert_array_equal(found.vectors, values)


# --- faiss ---------------------------------------------------------------------------------------


def test_fvecs_and_ivecs_are_those_of_faiss(tmp_path, values):
    faiss = pytest.importorskip("faiss.contrib.vecs_io")
    faiss.fvecs_write(str(tmp_path / "x.fvecs"), values)
    np.testing.assert_array_equal(read(tmp_path / "x.fvecs").values, values)
    truth = np.arange(10, dtype="int32").reshape(5, 2)
    faiss.ivecs_write(str(tmp_path / "x.ivecs"), truth)
    np.testing.assert_array_equal(read(tmp_path / "x.ivecs").values, truth)
    write(tmp_path / "y.fvecs", values)
    np.testing.assert_array_equal(faiss.fvecs_read(str(tmp_path / "y.fvecs")), values)
    write(tmp_path / "y.ivecs", truth)
    np.testing.assert_array_equal(faiss.ivecs_read(str(tmp_path / "y.ivecs")), truth)


def test_bvecs_and_bins_follow_their_published_layout(tmp_path):
    rows = np.arange(12, dtype="uint8").reshape(3, 4)
    data = b"".join((4).to_bytes(4, "little") + row.tobytes() for row in rows)
    (tmp_path / "x.bvecs").write_bytes(data)
    np.testing.assert_array_equal(read(tmp_path / "x.bvecs").values, rows)
    write(tmp_path / "y.bvecs", rows)
    assert (tmp_path / "y.bvecs").read_bytes() == data
    data = np.array([3, 4], "<u4").tobytes() + rows.tobytes()
    (tmp_path / "x.u8bin").write_bytes(data)
    np.testing.assert_array_equal(read(tmp_path / "x.u8bin").values, rows)
    write(tmp_path / "y.u8bin", rows)
    assert (tmp_path / "y.u8bin").read_bytes() == data


# --- text as it is found in the wild -------------------------------------------------------------


def test_fasttext_lines_with_a_space_at_the_end_are_read(tmp_path):
    (tmp_path / "x.vec").write_text("2 3\n</s> 0.1 0.2 0.3 \n, -1 2e-05 3 \n")
    found = read(tmp_path / "x.vec")
    assert found.ids.tolist() == ["</s>", ","]
    np.testing.assert_array_equal(found.values, np.float32([[0.1, 0.2, 0.3], [-1, 2e-05, 3]]))


def test_glove_words_with_spaces_and_numbers_are_kept(tmp_path):
    lines = [", 0.1 0.2", ". . . 0.3 0.4", "at name@x.org 0.5 0.6", "1990 1 2", "” 0.7 0.8"]
    (tmp_path / "glove.840B.txt").write_text("\n".join(lines))
    found = read(tmp_path / "glove.840B.txt")
    assert found.ids.tolist() == [",", ". . .", "at name@x.org", "1990", "”"]
    assert found.values.shape == (5, 2)


def test_crlf_and_byte_order_marks_do_no_harm(tmp_path):
    (tmp_path / "a.vec").write_bytes(b"\xef\xbb\xbf2 2\r\nx 1 2\r\ny 3 4\r\n")
    assert read(tmp_path / "a.vec").values.tolist() == [[1, 2], [3, 4]]
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfid,v0,v1\r\n5,0.5,2\r\n6,3,4\r\n")
    assert read(tmp_path / "a.csv").ids.tolist() == [5, 6]
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"id": 1, "v": [0.5]}\r\n')
    assert read(tmp_path / "a.jsonl").values.tolist() == [[0.5]]


def test_node_embeddings_keep_their_ids_as_words(tmp_path):
    (tmp_path / "x.emb").write_text("2 3\n12 0.1 0.2 0.3\n7 0.4 0.5 0.6\n")
    assert read(tmp_path / "x.emb").ids.tolist() == ["12", "7"]
    (tmp_path / "y.emb").write_text("12 0.1 0.2 0.3\n7 0.4 0.5 0.6\n")
    assert read(tmp_path / "y.emb").ids.tolist() == ["12", "7"]


def test_tables_of_pandas_with_and_without_their_index_are_read(tmp_path):
    (tmp_path / "a.csv").write_text(",0,1\n0,0.5,1.5\n1,2.5,3.5\n")
    found = read(tmp_path / "a.csv")
    assert found.ids.tolist() == [0, 1]
    assert found.values.tolist() == [[0.5, 1.5], [2.5, 3.5]]
    (tmp_path / "b.csv").write_text("0,1\n0.5,1.5\n2.5,3.5\n")
    assert read(tmp_path / "b.csv").values.tolist() == [[0.5, 1.5], [2.5, 3.5]]


def test_a_column_of_lists_in_csv_is_read_in_both_spellings(tmp_path):
    for cells in (
        ('"[0.5, 1.5]"', '"[2, 3]"'),
        ("[0.5 1.5]", "[2. 3.]"),
        ('"[ 0.5\n 1.5]"', "[2 3]"),
    ):
        (tmp_path / "x.csv").write_text(f"text,embedding\nhello,{cells[0]}\nworld,{cells[1]}\n")
        found = read(tmp_path / "x.csv")
        assert found.values.tolist() == [[0.5, 1.5], [2, 3]]
        assert found.metadata["text"].to_pylist() == ["hello", "world"]


def test_labels_beside_numbered_pixels_are_metadata(tmp_path):
    (tmp_path / "x.csv").write_text("label,pixel0,pixel1\n7,0,255\n1,3,4\n")
    found = read(tmp_path / "x.csv", dtype="uint8")
    assert found.values.tolist() == [[0, 255], [3, 4]]
    assert found.metadata.to_pydict() == {"label": [7, 1]}


def test_json_lines_with_nan_dates_and_late_fields_are_read(tmp_path):
    (tmp_path / "x.jsonl").write_text(
        '{"_id": "2024-01-01", "emb": [1, NaN], "at": "2024-01-01T00:00:00"}\n\n'
        '{"_id": "b", "emb": [2.5, 3], "at": null, "late": "2020-01-01"}\n'
    )
    found = read(tmp_path / "x.jsonl")
    assert found.ids.tolist() == ["2024-01-01", "b"]
    np.testing.assert_array_equal(found.values, np.float32([[1, np.nan], [2.5, 3]]))
    assert found.metadata.to_pydict() == {
        "at": ["2024-01-01T00:00:00", None],
        "late": [None, "2020-01-01"],
    }


def test_dates_in_json_lines_stay_text(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"id": "2024-01-01", "emb": [1, 2], "at": "2024-01-01"}\n')
    found = read(tmp_path / "x.jsonl")
    assert found.ids.tolist() == ["2024-01-01"]
    assert found.metadata["at"].to_pylist() == ["2024-01-01"]


def test_bare_lists_a_line_are_vectors(tmp_path):
    (tmp_path / "x.jsonl").write_text("[1, 2.5]\n[3, 4]\n")
    assert read(tmp_path / "x.jsonl").values.tolist() == [[1, 2.5], [3, 4]]


def test_gzip_of_several_members_is_read_whole(tmp_path):
    data = gzip.compress(b"a 1 2.5\n") + gzip.compress(b"b 3 4\n")
    (tmp_path / "x.txt.gz").write_bytes(data)
    assert read(tmp_path / "x.txt.gz").ids.tolist() == ["a", "b"]
