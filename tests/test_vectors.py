# SPDX-License-Identifier: Apache-2.0
"""What enters the house: everything people have as vectors and ids, and a clear no to the rest."""

from __future__ import annotations

import re
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import vectorloom as vl
from vectorloom.vectors import as_array, as_dense, as_ids, check_finite

ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


class Tensor:
    """Stands for a torch tensor: no NumPy protocol until it is detached and on the CPU."""

    __module__ = "torch"
    dtype = "torch.bfloat16"

    def __init__(self, values) -> None:
        self.values = values

    def detach(self):
        return self

    cpu = detach

    def float(self):
        return np.array(self.values, np.float32)


ACCEPTED = {
    "lists": ROWS,
    "tuples": tuple(map(tuple, ROWS)),
    "rows": [np.array(row, np.float16) for row in ROWS],
    "float64": np.array(ROWS),
    "int64": np.array(ROWS, np.int64),
    "big-endian": np.array(ROWS, ">f4"),
    "fortran": np.asfortranarray(np.array(ROWS, np.float32)),
    "strided": np.repeat(np.array(ROWS, np.float32), 2, axis=1)[:, ::2],
    "unaligned": np.frombuffer(b"x" + np.array(ROWS, "<f4").tobytes(), "<f4", 6, 1).reshape(2, 3),
    "tensor": Tensor(ROWS),
    "arrow list": pa.array(ROWS),
    "arrow fixed": pa.array(ROWS, pa.list_(pa.float32(), 3)),
    "arrow half": pa.array(
        [[np.float16(v) for v in row] for row in ROWS], pa.list_(pa.float16(), 3)
    ),
    "arrow chunked": pa.chunked_array([pa.array(ROWS[:1]), pa.array(ROWS[1:])]),
    "arrow slice": pa.array([[9.0, 9.0, 9.0], *ROWS], pa.list_(pa.float64(), 3))[1:],
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_people_have_becomes_one_matrix(name) -> None:
    dense = as_dense(ACCEPTED[name])
    assert dense.dtype == np.float32
    assert dense.flags.c_contiguous
    assert dense.flags.aligned
    assert type(dense) is np.ndarray
    np.testing.assert_array_equal(dense, ROWS)


def test_a_matrix_that_fits_is_not_copied(tmp_path) -> None:
    x = np.array(ROWS, np.float32)
    assert as_dense(x) is x
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert np.shares_memory(as_dense(mapped), mapped)


def nan_at(row, column, value=np.nan, n=5):
    x = np.ones((n, 4), np.float32)
    x[row, column] = value
    return x


REFUSED = {
    "vector": (np.ones(3), "must be 2-d (n, dim); got shape (3,). For one vector pass X[None, :]."),
    "cube": (np.ones((2, 2, 2)), "got shape (2, 2, 2)"),
    "scalar": (3.0, "got shape ()"),
    "ragged": ([[1.0, 2.0], [3.0]], "rows of equal length"),
    "no rows": (np.empty((0, 3)), "at least one row"),
    "no columns": (np.empty((3, 0)), "at least one column"),
    "nothing": ([], "got shape (0,)"),
    "nan": (nan_at(2, 3), "NaN or infinity in 1 row, first in row 2 (column 3: nan)"),
    "infinity": (nan_at(1, 0, -np.inf), "first in row 1 (column 0: -inf)"),
    "many nan": (np.full((7, 2), np.nan), "in 7 rows, first in row 0"),
    "overflow": (np.array([[1.0], [1e39]]), "1e+39 in row 1; that is beyond float32"),
    "text": (np.array([["a", "b"]]), "dtype <U1; numbers are expected"),
    "complex": (np.ones((2, 2), complex), "dtype complex128"),
    "dates": (np.zeros((2, 2), "M8[s]"), "numbers are expected"),
    "objects": (np.array([[Decimal(1), None]]), "dtype object"),
    "rows as objects": (np.array([np.ones(2), np.ones(2), None], object)[:2], "pass np.stack(X)"),
    "masked": (np.ma.masked_equal([[1.0, 2.0]], 2.0), "masked array"),
    "arrow nulls": (pa.array([[1.0], None]), "1 null rows"),
    "arrow ragged": (pa.array([[1.0], [1.0, 2.0]]), "row 0 has 1 values and row 1 has 2"),
    "none": (None, "numbers are expected"),
    "dict": ({"a": 1}, "numbers are expected"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_meant_is_refused(name) -> None:
    X, message = REFUSED[name]
    with pytest.raises((vl.ShapeError, vl.ParameterError), match=re.escape(message)) as caught:
        as_dense(X)
    assert isinstance(caught.value, ValueError)


def test_sparse_matrices_are_refused_with_what_to_do() -> None:
    from scipy.sparse import csr_array

    with pytest.raises(vl.ParameterError, match=r"sparse matrix.*X\.toarray\(\)"):
        as_dense(csr_array(np.eye(3)))


def test_the_dimension_is_checked_and_the_name_is_the_callers() -> None:
    with pytest.raises(vl.ShapeError, match=r"queries must have 4 columns; got shape \(2, 3\)"):
        as_dense(ROWS, name="queries", dim=4)
    assert as_dense(np.empty((0, 3)), dim=3, allow_empty=True).shape == (0, 3)


def test_bad_rows_are_found_beyond_the_first_block() -> None:
    x = np.zeros((300_000, 2), np.float32)
    x[290_000, 1] = np.nan
    with pytest.raises(vl.ParameterError, match="in 1 row, first in row 290000"):
        check_finite(x)
    x = np.zeros((300_000, 2))
    x[280_000, 0] = 1e300
    with pytest.raises(vl.ParameterError, match="in row 280000; that is beyond float32"):
        as_dense(x)


@pytest.mark.parametrize(("dtype", "ok", "bad"), [("uint8", 255, 256), ("int8", -128, -129)])
def test_integer_types_take_whole_numbers_in_range(dtype, ok, bad) -> None:
    assert as_dense([[ok, 0.0]], dtype=dtype).tolist() == [[ok, 0]]
    for wrong in (bad, 0.5):
        with pytest.raises(vl.ParameterError, match=rf"{wrong}.* in row 1; {dtype} takes whole"):
            as_dense([[0.0], [wrong]], dtype=dtype)
    with pytest.raises(vl.ParameterError, match="NaN"):
        as_dense([[np.nan]], dtype=dtype)


@settings(max_examples=80, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, np.int32, np.uint8, np.bool_]),
        st.tuples(st.integers(1, 5), st.integers(1, 5)),
    )
)
def test_the_result_is_the_rounded_input_or_an_error(x) -> None:
    with np.errstate(over="ignore"):
        want = x.astype(np.float32)
    if np.isfinite(want).all():
        np.testing.assert_array_equal(as_dense(x), want)
    else:
        with pytest.raises(vl.ParameterError, match=r"NaN or infinity|beyond float32"):
            as_dense(x)


def test_as_array_keeps_the_type() -> None:
    assert as_array(np.ones((2, 2), np.int8)).dtype == np.int8
    assert as_array([[True]]).dtype == np.bool_


# ---- ids ---------------------------------------------------------------------

INTS = [3, -7, 2**40]
IDS = {
    "list": INTS,
    "tuple": tuple(INTS),
    "int64": np.array(INTS),
    "numpy scalars": [np.int64(i) for i in INTS],
    "objects": np.array(INTS, object),
    "arrow": pa.array(INTS),
    "generator": (i for i in INTS),
}


@pytest.mark.parametrize("name", IDS)
def test_integer_ids_become_int64(name) -> None:
    ids = as_ids(IDS[name], 3)
    assert ids.dtype == np.int64
    assert ids.tolist() == INTS


@pytest.mark.parametrize(
    "ids",
    [["b", "a"], np.array(["b", "a"]), pa.array(["b", "a"]), ("b", np.str_("a")), {"b": 1, "a": 2}],
)
def test_text_ids_become_objects_of_plain_str(ids) -> None:
    got = as_ids(ids, 2)
    assert got.dtype == object
    assert got.tolist() == ["b", "a"]
    assert {type(value) for value in got} == {str}


def test_default_ids_and_ranges() -> None:
    assert as_ids(None, 3).tolist() == [0, 1, 2]
    assert as_ids(range(5, 1, -2)).tolist() == [5, 3]
    assert as_ids(np.array([1, 2], np.uint16)).dtype == np.int64
    assert as_ids([], 0).tolist() == []
    assert as_ids([4, 4], unique=False).tolist() == [4, 4]


BAD_IDS = {
    "mixed": (["a", 1], "all integers or all str; got int, str"),
    "bool list": ([True, False], "all integers or all str; got bool"),
    "bool array": (np.array([True]), "A mask goes to `where`"),
    "float list": ([1.0], "got float"),
    "float array": (np.array([1.0]), "Pass ids.astype(np.int64)"),
    "none inside": (["a", None], "got NoneType, str"),
    "bytes": ([b"a"], "got bytes"),
    "byte array": (np.array([b"a"]), "Decode them"),
    "too large": ([2**63], "beyond int64"),
    "too large uint64": (np.array([2**63], np.uint64), "must fit in int64"),
    "one str": ("abc", "For one id pass ['abc']"),
    "one int": (7, "For one id pass [7]"),
    "matrix": (np.ones((2, 2), int), "must be 1-d; got shape (2, 2)"),
    "padding": ([3, -1], "-1 marks the empty places"),
    "twice": ([5, 6, 5], "must be unique; 5 is at 0 and at 2"),
    "text twice": (["a", "b", "b"], "must be unique; 'b' is at 1 and at 2"),
}


@pytest.mark.parametrize("name", BAD_IDS)
def test_ids_that_cannot_be_meant_are_refused(name) -> None:
    ids, message = BAD_IDS[name]
    with pytest.raises((vl.ShapeError, vl.ParameterError), match=re.escape(message)):
        as_ids(ids)
