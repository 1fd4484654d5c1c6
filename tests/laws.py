# SPDX-License-Identifier: Apache-2.0
"""Assertions whose message is made from the number they test, so that the two cannot differ."""

from __future__ import annotations


def assert_at_least(got: float, floor: float, what: str) -> None:
    """Fail unless ``got >= floor``, naming the quantity and both numbers."""
    assert got >= floor, f"{what}: got {got:.6g}, the floor is {floor:.6g}"


def assert_at_most(got: float, ceiling: float, what: str) -> None:
    """Fail unless ``got <= ceiling``, naming the quantity and both numbers."""
    assert got <= ceiling, f"{what}: got {got:.6g}, the ceiling is {ceiling:.6g}"
