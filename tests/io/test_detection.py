# SPDX-License-Identifier: Apache-2.0
"""The content decides what a file is; the name only breaks ties."""

from __future__ import annotations

import numpy as np
import pytest

from vectorloom.errors import FormatError, ParameterError
from vectorloom.io import describe, detect, read, write
from vectorloom.io.formats import FORMATS

# Formats whose content cannot be told from another's: the width of the components is not in it.
NAME_DECIDES = ("u8bin", "i8bin", "ibin", "tsv")


@pytest.mark.parametrize("alias", ["x", "x.dat", "x.npy", "x.parquet", "x.csv", "x.txt", "x.bin"])
@pytest.mark.parametrize("sample", [n for n in FORMATS if n not in NAME_DECIDES], indirect=True)
def test_content_beats_the_name(sample, alias):
    path = sample.path.rename(sample.path.with_name(alias))
    assert detect(path).format == sample.format
    np.testing.assert_array_equal(read(path).values, sample.values)


def test_format_overrules_the_detection(tmp_path):
    path = tmp_path / "x.u8bin"
    write(path, np.full((2, 3), 200, "uint8"))
    assert read(path, format="i8bin").values.tolist() == [[-56] * 3] * 2
    with pytest.raises(FormatError, match="cannot be read as npz"):
        read(path, format="npz")
    with pytest.raises(ParameterError, match="format must be one of npy, npz"):
        read(path, format="numpy")


def test_what_the_name_alone_could_tell_is_asked_for(tmp_path):
    write(tmp_path / "x.u8bin", np.ones((2, 3), "uint8"))
    path = (tmp_path / "x.u8bin").rename(tmp_path / "x.dat")
    with pytest.raises(FormatError, match=r"fits u8bin and i8bin alike.*Give format='u8bin'"):
        read(path)
    assert read(path, format="u8bin").dim == 3


def test_floats_and_integers_of_vecs_are_told_apart_by_their_bits(tmp_path):
    write(tmp_path / "a.ivecs", [[1, 2, -1], [7, 0, 12]])
    path = (tmp_path / "a.ivecs").rename(tmp_path / "a.fvecs")
    assert read(path).values.tolist() == [[1, 2, -1], [7, 0, 12]]
    write(tmp_path / "b.fvecs", [[1.5, 0, -1], [7, 0, 12]])
    path = (tmp_path / "b.fvecs").rename(tmp_path / "b.ivecs")
    assert read(path).values[0].tolist() == [1.5, 0, -1]


def test_headers_of_tables_are_found_and_missing_ones_are_not_invented(tmp_path):
    path = tmp_path / "x.csv"
    for text, columns in (
        ("1.5,2\n3,4.5\n", ["column_0", "column_1"]),
        ("x,y\n3,4.5\n", ["x", "y"]),
        ("x,y\n", ["x", "y"]),
        ("0,1,2\n3,4,5\n", ["column_0", "column_1", "column_2"]),
        ("w;0;1\na;0.5;0.25\n", ["w", "0", "1"]),
        ("a|0.5|0.25\n", ["column_0", "column_1", "column_2"]),
    ):
        path.write_text(text)
        assert list(describe_columns(path)) == columns, text


def describe_columns(path):
    from vectorloom.io.delimited import read_dialect

    return read_dialect(path).names


def test_integers_before_fractions_without_a_header_are_asked_about(tmp_path):
    (tmp_path / "x.csv").write_text("1,0.5,0.25\n2,0.5,0.75\n")
    with pytest.raises(ParameterError, match="ids or components"):
        read(tmp_path / "x.csv")
    assert read(tmp_path / "x.csv", ids=False).dim == 3
    found = read(tmp_path / "x.csv", ids="column_0")
    assert found.ids.tolist() == [1, 2]
    assert found.dim == 2


def test_several_candidates_are_listed_with_the_argument_that_decides(tmp_path, rng):
    one = rng.standard_normal((3, 2))
    np.savez(tmp_path / "x.npz", corpus=one, queries=one)
    with pytest.raises(
        ParameterError,
        match=r"2 candidates .*'corpus' \(3, 2\) float64, 'queries' .*vectors='corpus'",
    ):
        read(tmp_path / "x.npz")
    write(tmp_path / "x.parquet", one, metadata={"other": one.tolist()})
    assert read(tmp_path / "x.parquet").metadata.column_names == ["other"]
    (tmp_path / "x.jsonl").write_text('{"a": [0.5], "b": [1.5], "tokens": [1, 2]}\n')
    with pytest.raises(ParameterError, match=r"2 candidates for the vectors: 'a' .*, 'b' "):
        read(tmp_path / "x.jsonl")
    assert read(tmp_path / "x.jsonl", vectors="tokens").values.tolist() == [[1, 2]]
    (tmp_path / "x.csv").write_text("name,x,y,year\na,0.5,1.5,1999\nb,1,2,2000\n")
    with pytest.raises(
        ParameterError, match=r"columns of numbers are the vector: 'x', 'y', 'year'"
    ):
        read(tmp_path / "x.csv")
    found = read(tmp_path / "x.csv", vectors=["y", "x"], ids="name")
    assert found.values.tolist() == [[1.5, 0.5], [2, 1]]
    assert found.metadata.to_pydict() == {"year": [1999, 2000]}


def test_names_that_are_not_there_are_answered_with_those_that_are(sample):
    named = sample.format not in ("word2vec", "word2vec-binary", "glove")
    for argument in ("vectors", "ids"):
        with pytest.raises(ParameterError) as caught:
            read(sample.path, **{argument: "nonesuch"})
        message = str(caught.value)
        assert "nonesuch" in message or "leave vectors=" in message or not named


def test_texts_without_vectors_say_what_they_hold(tmp_path):
    (tmp_path / "corpus.jsonl").write_text('{"_id": "1", "text": "hello"}\n')
    with pytest.raises(FormatError, match=r"expected a column of vectors .* found 'text' str"):
        read(tmp_path / "corpus.jsonl")
    (tmp_path / "x.csv").write_text("name,count\na,1\nb,2\n")
    with pytest.raises(ParameterError, match="cannot tell"):
        read(tmp_path / "x.csv")


def test_a_cell_that_is_no_number_does_not_drop_its_column(tmp_path):
    (tmp_path / "x.csv").write_text("id,v0,v1\na,0.5,1\nb,2,-\n")
    with pytest.raises(FormatError, match="line 3, column 'v1': expected a number; found '-'"):
        read(tmp_path / "x.csv")
    (tmp_path / "y.csv").write_text("id,x,y\na,0.5,1.5\nb,2,NA\nc,2,1\n")
    with pytest.raises(FormatError, match="line 3, column 'y': expected a number; found 'NA'"):
        read(tmp_path / "y.csv")


# --- describe ------------------------------------------------------------------------------------


def test_describe_agrees_with_read(sample):
    found, told = read(sample.path), describe(sample.path)
    assert told["format"] == sample.format
    assert (told["rows"], told["dim"]) == found.values.shape
    assert told["dtype"] == str(found.values.dtype)
    assert told["bytes"] == sample.path.stat().st_size
    kind = {None: None, "O": "str", "i": "int64"}[found.ids.dtype.kind if sample.ids else None]
    assert told["ids"] == kind


def test_describe_gives_plain_data(sample):
    import json

    assert json.loads(json.dumps(describe(sample.path)))["format"] == sample.format


def test_describe_lists_the_candidates_instead_of_failing(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones((3, 2)), b=np.ones((4, 2)))
    told = describe(tmp_path / "x.npz")
    assert told["rows"] is None
    assert told["columns"] == {"a": "float64 [3, 2]", "b": "float64 [4, 2]"}
    assert "vectors='a'" in told["note"]


def test_describe_counts_rows_and_not_lines_in_quoted_text(tmp_path):
    write(tmp_path / "x.csv", np.full((3, 2), 0.5), metadata={"t": ["a\nb", 'c"\n"', "d"]})
    assert describe(tmp_path / "x.csv")["rows"] == 3
    assert len(read(tmp_path / "x.csv")) == 3


def test_the_guide_names_every_format():
    from pathlib import Path

    guide = Path(__file__).parents[2] / "docs" / "guides" / "formats.md"
    text = guide.read_text(encoding="utf-8")
    missing = [name for name in FORMATS if f"`{name}`" not in text]
    assert not missing
