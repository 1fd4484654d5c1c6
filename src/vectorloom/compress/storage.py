# SPDX-License-Identifier: Apache-2.0
"""A fitted compressor as plain values and arrays, and back: no pickle, only classes we know.

Each attribute whose name ends in ``_`` is state. A value becomes a small JSON node: ``{"array":
name}`` points to an array of the file, ``{"list": …}``, ``{"dict": …}`` and ``{"compressor": …}``
nest, ``{"float": hex}`` keeps all bits, ``{"value": …}`` is a plain value.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.codes import format_error
from vectorloom.errors import FormatError, ParameterError

if TYPE_CHECKING:
    from vectorloom.compress.compressor import Compressor
    from vectorloom.io.container import Container

_NOT_CALIBRATION = {"n_jobs"}  # may differ between two compressors whose codes are the same
_MAX_DEPTH = 16


def flatten(
    compressor: Compressor, prefix: str = ""
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the state of a fitted compressor as (plain values, arrays).

    Parameters
    ----------
    compressor : Compressor
    prefix : str, default=""
        Of the names of the arrays.

    Returns
    -------
    meta : dict
        For JSON.
    arrays : dict of str to ndarray
    """
    arrays: dict[str, NDArray[Any]] = {}
    return _flatten_compressor(compressor, prefix, arrays), arrays


def state_of(compressor: Compressor) -> dict[str, Any]:
    """Return the fitted attributes: those whose names end in one underscore."""
    return {
        name: value
        for name, value in sorted(vars(compressor).items())
        if name.endswith("_") and not name.startswith("_") and not name.endswith("__")
    }


def fingerprint(compressor: Compressor) -> str:
    """Return a hash of everything that decides what a code means, 32 hexadecimal digits."""
    meta, arrays = flatten(compressor)
    digest = hashlib.blake2b(json.dumps(meta, sort_keys=True).encode(), digest_size=16)
    for name in sorted(arrays):
        digest.update(f"{name}{arrays[name].dtype.str}{arrays[name].shape}".encode())
        digest.update(memoryview(np.ascontiguousarray(arrays[name])).cast("B"))
    return digest.hexdigest()


def _flatten_compressor(
    compressor: Compressor, prefix: str, arrays: dict[str, NDArray[Any]]
) -> dict[str, Any]:
    params = {
        k: v for k, v in compressor.get_params(deep=False).items() if k not in _NOT_CALIBRATION
    }
    return {
        "class": type(compressor).__name__,
        "params": {k: _flatten(v, f"{prefix}p.{k}", arrays) for k, v in params.items()},
        "state": {
            k: _flatten(v, f"{prefix}s.{k}", arrays) for k, v in state_of(compressor).items()
        },
    }


def _flatten(value: Any, name: str, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        return _flatten_array(value, name, arrays)
    if isinstance(value, float):
        return {"float": value.hex()}
    if value is None or isinstance(value, str | bool | int):
        return {"value": value}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_flatten(v, f"{name}.{i}", arrays) for i, v in enumerate(value)]}
    if isinstance(value, dict):
        return {"dict": {str(k): _flatten(v, f"{name}.{k}", arrays) for k, v in value.items()}}
    if hasattr(value, "get_params"):
        return {"compressor": _flatten_compressor(value, f"{name}.", arrays)}
    raise ParameterError(
        f"{name} is a {type(value).__name__}, which a file of a compressor cannot hold; pass "
        "numbers, text, arrays or compressors."
    )


def _flatten_array(
    value: NDArray[Any], name: str, arrays: dict[str, NDArray[Any]]
) -> dict[str, Any]:
    if value.dtype.kind == "b":
        arrays[name] = value.view(np.uint8)
        return {"array": name, "bool": True}
    if value.dtype.kind not in "iuf":
        raise ParameterError(
            f"{name} has dtype {value.dtype}, which a file of a compressor cannot hold; pass "
            "numbers."
        )
    arrays[name] = np.ascontiguousarray(value)
    return {"array": name}


def restore(meta: Any, container: Container) -> Compressor:
    """Rebuild a fitted compressor from what `flatten` gave.

    Parameters
    ----------
    meta : dict
    container : Container
        The opened file that holds the arrays.

    Returns
    -------
    Compressor

    Raises
    ------
    FormatError
        Unknown class, missing values or arrays.
    """
    try:
        return _restore_compressor(meta, container, 0)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise format_error(
            container.path, f"the calibration does not make sense ({error})."
        ) from error


def _restore_compressor(meta: Any, container: Container, depth: int) -> Compressor:
    from vectorloom.compress import _LAZY
    from vectorloom.compress.compressor import Compressor

    name = meta["class"]
    if name not in _LAZY:
        raise format_error(container.path, f"this version knows no compressor {name!r}.")
    cls = getattr(importlib.import_module(_LAZY[name]), name)
    if not (isinstance(cls, type) and issubclass(cls, Compressor)):
        raise format_error(container.path, f"{name!r} is no compressor.")
    params = {k: _restore(v, container, depth + 1) for k, v in meta["params"].items()}
    known = cls._parameters()
    compressor = cls(**{k: v for k, v in params.items() if k in known})
    for key, node in meta["state"].items():
        if not key.endswith("_") or key.startswith("_"):
            raise format_error(container.path, f"{key!r} is no fitted attribute.")
        setattr(compressor, key, _restore(node, container, depth + 1))
    return compressor


def _restore(node: Any, container: Container, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise format_error(container.path, "the calibration nests too deep.")
    ((kind, value),) = ((k, v) for k, v in node.items() if k != "bool")
    if kind == "array":
        array = container.arrays[value]
        return array.view(np.bool_) if node.get("bool") else array
    if kind == "float":
        return float.fromhex(value)
    if kind == "value":
        return value
    if kind in ("list", "tuple"):
        items = [_restore(v, container, depth + 1) for v in value]
        return items if kind == "list" else tuple(items)
    if kind == "dict":
        return {k: _restore(v, container, depth + 1) for k, v in value.items()}
    if kind == "compressor":
        return _restore_compressor(value, container, depth + 1)
    raise format_error(container.path, f"{kind!r} is no kind of value.")


def load_compressor(container: Container) -> Compressor:
    """Rebuild a compressor from an opened file; registered for `vectorloom.open`."""
    return restore(container.meta.get("compressor"), container)
