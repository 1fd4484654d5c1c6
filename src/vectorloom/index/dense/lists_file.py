# SPDX-License-Identifier: Apache-2.0
"""Inverted lists to a file and back, mapped."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import FormatError, VectorloomError
from vectorloom.index.dense.lists import InvertedLists
from vectorloom.index.dense.lists_calibration import SCALES, Calibration
from vectorloom.index.dense.lists_range import Ranging
from vectorloom.index.dense.store import RowStore
from vectorloom.io.container import Container

_CODES, _RANGES = "lists.codes.", "lists.ranges."


def to_file(lists: InvertedLists) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return header entries and arrays."""
    arrays: dict[str, NDArray[Any]] = {"lists.centroids": lists.centroids}
    for one in lists.calibrations:
        arrays |= {f"lists.at {one.k}.{name}": array for name, array in one.arrays.items()}
    if lists.ranging is not None:
        arrays[_RANGES + "line"] = lists.ranging.line
        arrays[_RANGES + "remainders"] = lists.ranging.remainders
    meta, coded = lists.to_file(_CODES)
    return meta, arrays | coded


def read_lists(file: Container, store: RowStore, final: bool) -> InvertedLists:
    """Return the lists of a store's rows; codes are in memory where the rows are not.

    Raises
    ------
    FormatError
        They do not fit the rows or each other.
    """
    centroids = file.array("lists.centroids", "<f4", (None, store.dim))
    calibrations = tuple(
        Calibration(
            k,
            file.array(f"lists.at {k}.gaps", "<f8", (None,)),
            file.array(f"lists.at {k}.reaches", "<f8", (2, None)),
            float(file.array(f"lists.at {k}.guess", "<f8", (1,))[0]),
        )
        for k in SCALES
        if f"lists.at {k}.gaps" in file.arrays
    )
    arrays = {
        name[len(_CODES) :]: _in_memory(array) if store.on_disk else array
        for name, array in file.arrays.items()
        if name.startswith(_CODES)
    }
    try:
        if "codec" in file.meta:
            from vectorloom.index.dense.lists_codec import read_codec_lists

            lists: InvertedLists = read_codec_lists(
                file, _CODES, store.metric, centroids, calibrations, final
            )
        else:
            lists = InvertedLists.stored(store.metric, centroids, calibrations, arrays)
    except (VectorloomError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{file.path}: the lists cannot be used ({error}).") from error
    if _RANGES + "line" in file.arrays:
        lists.ranging = Ranging(
            file.array(_RANGES + "line", "<f8", (3,)),
            file.array(_RANGES + "remainders", "<f8", (None, None)),
        )
    measured = all(len(one.gaps) > 0 for one in calibrations) and (
        lists.ranging is None or lists.ranging.remainders.size > 0
    )
    if len(centroids) == 0 or lists.n_listed > store.n or not measured:
        raise FormatError(f"{file.path}: the lists do not fit the rows.")
    return lists


def _in_memory(array: NDArray[Any]) -> NDArray[Any]:
    copied: NDArray[Any] = _core.aligned_empty(array.shape, array.dtype.name)
    copied[...] = array
    return copied
