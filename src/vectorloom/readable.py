# SPDX-License-Identifier: Apache-2.0
"""Numbers as people read them: durations, rates, counts and sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence


def format_seconds(seconds: float) -> str:
    """Return a duration for people: ``0.4 s``, ``12 s``, ``3:05``, ``1:02:05``.

    Examples
    --------
    >>> format_seconds(0.42), format_seconds(185), format_seconds(3725)
    ('0.4 s', '3:05', '1:02:05')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def format_rate(rate: float) -> str:
    """Return a rate with three digits that mean something: ``4.2``, ``12.3``, ``12,345``."""
    if rate >= 100:
        return f"{rate:,.0f}"
    return f"{rate:.3g}"


def format_count(n: float, unit: str) -> str:
    """Return a whole count; of bytes, a size.

    Examples
    --------
    >>> format_count(12345, "rows"), format_count(12345, "bytes")
    ('12,345', '12.1 KiB')
    """
    return format_bytes(n) if unit == "bytes" else f"{n:,.0f}"


def format_bytes(n: float) -> str:
    """Return a size for people, in binary units.

    Examples
    --------
    >>> format_bytes(512), format_bytes(1536), format_bytes(3 * 2**30)
    ('512 bytes', '1.5 KiB', '3.0 GiB')
    """
    if n < 1024:
        return f"{n:.0f} bytes"
    power = min(4, int(math.log2(n) // 10))
    return f"{n / 1024**power:.1f} {('KiB', 'MiB', 'GiB', 'TiB')[power - 1]}"


def format_losses(losses: Sequence[float]) -> str:
    """Return the losses of epochs: all of a dozen, else the first and the last of them.

    Examples
    --------
    >>> format_losses([2.5, 1.25]), format_losses([5.0, 4.0, *[3.0] * 40, 2.0])
    ('2.5000, 1.2500', '5.0000, 4.0000, 3.0000, … (43 epochs), 3.0000, 3.0000, 2.0000')
    """
    told = [f"{loss:.4f}" for loss in losses]
    if len(told) > 12:
        told[3:-3] = [f"… ({len(losses)} epochs)"]
    return ", ".join(told)
