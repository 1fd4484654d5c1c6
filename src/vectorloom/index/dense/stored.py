# SPDX-License-Identifier: Apache-2.0
"""Rows of an exact index to a file and back, mapped."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import FormatError, VectorloomError
from vectorloom.estimator import check_count
from vectorloom.index.dense.encoding import STORED
from vectorloom.index.dense.store import RowStore
from vectorloom.index.rowids import IntIds, StrIds
from vectorloom.io.container import Container, write_container

_SCREEN = "screen."


def write_store(
    path: str | os.PathLike[str],
    kind: str,
    params: Mapping[str, Any],
    store: RowStore,
    n_jobs: int | None,
    more_meta: Mapping[str, Any] | None = None,
    more_arrays: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Write a store without dead rows.

    Parameters
    ----------
    path : path-like
    kind : str
        Of the file.
    params : mapping
        Of the index, for its constructor.
    store : RowStore
    n_jobs : int or None
        For a screen that is wanted and not there yet.
    more_meta, more_arrays : mapping, default=None
        What else the index keeps.
    """
    if store.n != store.n_live:  # there was no memory for rewriting; a copy may find it yet
        store = store.copy()
    screen = store.ensure_screen(n_jobs)
    arrays: dict[str, NDArray[Any]] = {"values": store.values[: store.n]}
    if store.scales is not None:
        arrays["scales"] = store.scales[: store.n]
    if store.row_norms is not None:
        arrays["norms"] = store.row_norms
    arrays |= store.ids.to_arrays()
    if screen is not None:
        arrays |= {_SCREEN + name: array for name, array in screen.arrays().items()}
    meta = {
        "params": _plain_params(params, arrays),
        "n": store.n,
        "dim": store.dim,
        "ids": store.ids.dtype,
        "ascending": store.ids.ascending,
        "next_id": store.next_id,
        "screened": screen is not None,
    }
    write_container(path, kind, meta | dict(more_meta or {}), arrays | dict(more_arrays or {}))


def _plain_params(params: Mapping[str, Any], arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Return parameters as JSON has them; the arrays of compressors join those of the file."""
    plain = dict(params)
    for name, value in params.items():
        if hasattr(value, "inverse_transform"):
            from vectorloom.compress.storage import flatten

            plain[name], parts = flatten(value, f"params.{name}.")
            arrays |= parts
    return plain


def read_params(file: Container) -> dict[str, Any]:
    """Return the parameters that an index of a file was made with.

    Raises
    ------
    FormatError
        One is a compressor that makes no sense.
    """
    params = dict(file.meta["params"])
    for name, value in params.items():
        if isinstance(value, dict):
            from vectorloom.compress.storage import restore

            params[name] = restore(value, file)
    return params


def read_store(file: Container, kind: str, metric: str, policy: str | None) -> RowStore:
    """Return the mapped, read-only store of a file.

    Parameters
    ----------
    file : Container
    kind : str
        Stored dtype.
    metric : str
    policy : {"auto", "int8"} or None
        For the screen.

    Returns
    -------
    RowStore

    Raises
    ------
    FormatError
        The header and the arrays do not fit together.
    """
    meta = file.meta
    n = check_count("n", meta["n"], at_least=0)
    dim = check_count("dim", meta["dim"])
    store = RowStore(kind, metric, dim, read_ids(file, n), policy)
    stored: np.dtype[Any] = STORED[kind]
    width = store.values.shape[1]
    store.values = file.array("values", stored.newbyteorder("<").str, (n, width))
    if kind == "int8":
        store.scales = file.array("scales", "<f4", (n,))
    if kind != "bits":
        store.norms = file.array("norms", "<f8", (n,))
    store.n = store.n_live = n
    store.next_id = check_count("next_id", meta["next_id"], at_least=0)
    store.read_only = True
    if meta["screened"]:
        store.screen = read_screen(file, _SCREEN, n)
    return store


def read_ids(file: Container, n: int) -> IntIds | StrIds:
    """Return the ids of `n` rows of a file."""
    ascending = file.meta["ascending"] is True
    if file.meta["ids"] == "int64":
        return IntIds(file.array("ids", "<i8", (n,)), ascending)
    packed = (file.array("ids.text", "|u1", (None,)), file.array("ids.offsets", "<i8", (n + 1,)))
    ranks = None if ascending else file.array("ids.ranks", "<i8", (n,))
    return StrIds(None, ascending, packed, ranks, str(file.path))


def read_screen(file: Container, prefix: str, n: int) -> _core.Screen:
    """Return the screen of `n` rows whose arrays have this prefix in a file, mapped.

    Raises
    ------
    FormatError
        It cannot be used.
    """
    parts = {
        name[len(prefix) :]: array for name, array in file.arrays.items() if name.startswith(prefix)
    }
    try:
        screen = _core.Screen.open(parts)
    except (VectorloomError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{file.path}: the screen cannot be used ({error}).") from error
    if len(screen) != n:
        raise FormatError(f"{file.path}: the screen has {len(screen)} rows; {n} are expected.")
    return screen
