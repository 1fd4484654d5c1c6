# SPDX-License-Identifier: Apache-2.0
"""What results of measurements share: they become plain data."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

#: Arrays longer than this are told by their length alone, unless all is asked for.
LONGEST = 100


class Result:
    """Base of the frozen dataclasses that measurements return."""

    def to_dict(self, *, arrays: bool = False) -> dict[str, Any]:
        """Return the result as dict, list, str and numbers, for JSON.

        Parameters
        ----------
        arrays : bool, default=False
            Whether arrays of more than 100 values are told too; they are left out else.

        Returns
        -------
        dict
        """
        found = {}
        for one in fields(self):  # type: ignore[arg-type]
            value = getattr(self, one.name)
            if isinstance(value, np.ndarray) and value.size > LONGEST and not arrays:
                continue
            found[one.name] = _plain(value, arrays)
        return found


def _plain(value: Any, arrays: bool) -> Any:
    if isinstance(value, Result):
        return value.to_dict(arrays=arrays)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(inner, arrays) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, arrays) for inner in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name), arrays) for one in fields(value)}
    return value
