# SPDX-License-Identifier: Apache-2.0
"""How hard to search, as users ask for it: by a knob of the index, or by the recall they want."""

from __future__ import annotations

from typing import Any

import numpy as np

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count

#: What an approximate search finds of the true neighbours when nothing is asked for.
DEFAULT_RECALL = 0.95


def checked_effort(name: str, effort: Any, recall: Any) -> tuple[int | None, float]:
    """Return the knob, None where it was not turned, and the recall that counts then.

    Parameters
    ----------
    name : str
        Of the knob.
    effort : int or None
    recall : float or None

    Raises
    ------
    ParameterError
        Both were given, or one is out of range.
    """
    if effort is not None:
        effort = check_count(name, effort)
        if recall is not None:
            raise ParameterError(f"{name} and recall were both given; pass one of them.")
    return effort, DEFAULT_RECALL if recall is None else checked_recall(recall)


def checked_recall(recall: Any) -> float:
    """Return a recall that was asked for, refused unless above 0 and up to 1."""
    if isinstance(recall, bool) or not isinstance(recall, int | float | np.floating):
        raise ParameterError(f"recall must be a number above 0 and up to 1; got {recall!r}.")
    if not 0.0 < recall <= 1.0:
        raise ParameterError(f"recall must be above 0 and up to 1; got {recall!r}.")
    return float(recall)


def known_recall(recall: Any, effort: Any) -> bool:
    """Whether a recall below 1 was asked for, or nothing: what needs neither check nor message."""
    return effort is None and (recall is None or (type(recall) is float and 0.0 < recall < 1.0))
