# SPDX-License-Identifier: Apache-2.0
"""Fields of a request's body, taken one by one: of the right kind and size, or refused in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from vectorloom.errors import ParameterError


def take(body: Any, allowed: Iterable[str], needed: Iterable[str] = ()) -> Mapping[str, Any]:
    """Return the body; unknown fields are errors, so that no misspelt setting is passed over."""
    if not isinstance(body, Mapping):
        raise ParameterError("the body must be a JSON object.")
    allowed = list(allowed)
    unknown = sorted(set(body) - set(allowed))
    if unknown:
        known = f"{', '.join(allowed)} are known here" if allowed else "none is known here"
        raise ParameterError(f"unknown fields {', '.join(unknown):.200}; {known}.")
    missing = [name for name in needed if name not in body]
    if missing:
        raise ParameterError(f"the body lacks {', '.join(missing)}.")
    return body


def whole(body: Mapping[str, Any], name: str, usual: int, most: int) -> int:
    """Return a count from 1 to `most`."""
    value = body.get(name, usual)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ParameterError(
            f"{name} must be a whole number from 1 to {most:,}; got {value!r:.40}."
        )
    return value


def truth(body: Mapping[str, Any], name: str, usual: bool) -> bool:
    """Return true or false."""
    value = body.get(name, usual)
    if not isinstance(value, bool):
        raise ParameterError(f"{name} must be true or false; got {value!r:.40}.")
    return value


def share(body: Mapping[str, Any], name: str) -> float | None:
    """Return a number; its range is checked by who uses it."""
    value = body.get(name)
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise ParameterError(f"{name} must be a number; got {value!r:.40}.")
    return value


def word(body: Mapping[str, Any], name: str, pattern: re.Pattern[str] | None = None) -> str | None:
    """Return text, of a pattern where one is given."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise ParameterError(f"{name} must be text; got {value!r:.40}.")
    if value is not None and pattern is not None and not pattern.fullmatch(value):
        raise ParameterError(f"{name} must match {pattern.pattern}; got {value!r:.40}.")
    return value


def where(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the filter."""
    value = body.get("where")
    if value is not None and not isinstance(value, Mapping):
        raise ParameterError(f"where must be an object; got {value!r:.40}.")
    return value


def listed(body: Mapping[str, Any], name: str, most: int) -> list[Any]:
    """Return a list of at most so many entries."""
    value = body[name]
    if not isinstance(value, list):
        raise ParameterError(f"{name} must be a list; got {value!r:.40}.")
    if len(value) > most:
        raise ParameterError(f"{name} has {len(value):,} entries; {most:,} at most are taken.")
    return value


def texts(body: Mapping[str, Any], name: str, most: int) -> list[str]:
    """Return a list of texts."""
    value = listed(body, name, most)
    for i, each in enumerate(value):
        if not isinstance(each, str):
            raise ParameterError(f"{name} must hold text; entry {i} is {each!r:.40}.")
    return value
