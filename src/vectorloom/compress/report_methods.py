# SPDX-License-Identifier: Apache-2.0
"""Which methods the report card tries, and which byte budget each one competes in.

A budget of b bytes is filled as far as each family can: product quantizers take the largest divisor
of the dimension, PCA as many components as fit. A method that would leave more than 40 % of a
budget unused is not tried there; it has its place in a smaller one.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vectorloom.compress.compressor import Compressor
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count

# Bits a dimension of the default budgets; each adds the bytes of a row's own factors.
DEFAULT_BITS = (16.0, 8.0, 4.0, 2.0, 1.0, 0.5)
ROW_FACTORS = 8
_LEAST_USED = 0.6
# Residual quantizers train one codebook after the other; beyond this it takes minutes.
_MOST_CODEBOOKS = 64


def budgets_for(bytes_: Any, dim: int) -> tuple[int, ...]:
    """Return the budgets, smallest first.

    Parameters
    ----------
    bytes_ : int, sequence of int, or None
        None: 0.5, 1, 2, 4, 8 and 16 bits a dimension, plus 8 bytes for factors of the row.
    dim : int

    Returns
    -------
    tuple of int

    Raises
    ------
    ParameterError
        No budget, or one below 1.
    """
    if bytes_ is None:
        return tuple(sorted({max(1, round(bits * dim / 8)) + ROW_FACTORS for bits in DEFAULT_BITS}))
    given = [bytes_] if _is_whole(bytes_) else list(bytes_)
    if not given:
        raise ParameterError("bytes is empty; give budgets in bytes per vector, such as [48, 96].")
    return tuple(sorted({check_count("bytes", budget) for budget in given}))


def budget_of(size: int, budgets: Sequence[int]) -> int | None:
    """Return the smallest budget that holds `size` bytes; None when none does."""
    return next((budget for budget in budgets if size <= budget), None)


def default_recipes(dim: int, budgets: Sequence[int]) -> list[str]:
    """Return the recipes worth trying within the budgets, each once, largest budget first.

    Parameters
    ----------
    dim : int
    budgets : sequence of int

    Returns
    -------
    list of str

    Examples
    --------
    >>> default_recipes(8, [8])
    ['float8', 'scalar:8', 'pca:4 | float16']
    """
    found: dict[str, None] = {}
    for budget in sorted(budgets, reverse=True):
        for recipe, size in _fillings(dim, budget):
            if _LEAST_USED * budget <= size <= budget:
                found.setdefault(recipe, None)
    return list(found)


def resolve(method: Any, random_state: int) -> tuple[str, Compressor]:
    """Return the name of a method and an unfitted compressor.

    Parameters
    ----------
    method : Compressor or str
        A recipe such as ``"pca:192 | float8"``, a class name such as ``"Float8"``, or an object,
        which is copied and stays as it is.
    random_state : int
        For those that come as text and have one.

    Returns
    -------
    name : str
    compressor : Compressor

    Raises
    ------
    ParameterError
        Neither, or a text that names no method.
    """
    from vectorloom.compress.recipe import from_text, to_text

    if isinstance(method, str):
        compressor = _by_class_name(method) or from_text(method)
        _seed(compressor, random_state)
    elif isinstance(method, Compressor):
        compressor = type(method)(**method.get_params(deep=False))
    else:
        raise ParameterError(
            f"a method is a compressor or a recipe such as 'pca:192 | float8'; got {method!r}."
        )
    if isinstance(method, str) and ("|" in method or ":" in method):
        return " | ".join(part.strip() for part in method.split("|")), compressor
    try:
        return to_text(compressor), compressor
    except ParameterError:  # no word of its own
        return repr(compressor), compressor


def _by_class_name(text: str) -> Compressor | None:
    import vectorloom.compress as room

    if text not in room._LAZY:
        return None
    made = getattr(room, text)
    if not (isinstance(made, type) and issubclass(made, Compressor)):
        raise ParameterError(f"{text!r} is no compressor; name a class of vl.compress or a recipe.")
    try:
        return made()
    except TypeError as error:
        raise ParameterError(
            f"{text} needs parameters ({error}); pass the object, or a recipe such as 'pca:192'."
        ) from None


def _seed(compressor: Any, random_state: int) -> None:
    for part in getattr(compressor, "steps", [compressor]):
        if "random_state" in part.get_params(deep=False):
            part.set_params(random_state=random_state)


def _is_whole(value: Any) -> bool:
    try:
        operator.index(value)
    except TypeError:
        return False
    return not isinstance(value, bool)


def _fillings(dim: int, budget: int) -> Iterator[tuple[str, int]]:
    """(recipe, bytes it is expected to take) of every family that can fill the budget."""
    for family in _FAMILIES:
        made = family(dim, budget)
        if made is not None:
            yield made


Filling = tuple[str, int] | None


def _float16(dim: int, budget: int) -> Filling:
    return ("float16", 2 * dim)


def _bfloat16(dim: int, budget: int) -> Filling:
    return ("bfloat16", 2 * dim)


def _float8(dim: int, budget: int) -> Filling:
    return ("float8", dim)


def _levels(word: str, widths: Sequence[int], factors: int) -> Callable[[int, int], Filling]:
    """Take the most bits a dimension that fit, beside the bytes that a row needs for itself."""

    def family(dim: int, budget: int) -> Filling:
        for bits in widths:
            size = -(-dim * bits // 8) + factors
            if size <= budget:
                return (f"{word}:{bits}", size)
        return None

    return family


def _codebooks(word: str) -> Callable[[int, int], Filling]:
    """One byte a part; a part of one dimension would be a scalar quantizer."""

    def family(dim: int, budget: int) -> Filling:
        parts = max((p for p in range(1, min(budget, dim // 2) + 1) if dim % p == 0), default=0)
        return (f"{word}:{parts}", parts) if parts > 1 else None

    return family


def _residual(dim: int, budget: int) -> Filling:
    return (f"rq:{budget}", budget) if 2 <= budget <= min(_MOST_CODEBOOKS, dim // 4) else None


def _fewer_dims(reducer: str, code: str, bits: int, factors: int) -> Callable[[int, int], Filling]:
    """As many dimensions as fit, each in a few bits; the whole dimension needs no reducer."""

    def family(dim: int, budget: int) -> Filling:
        kept = 8 * (budget - factors) // bits
        kept -= kept % 8 if bits < 8 and kept > 8 else 0
        if not 2 <= kept < dim:
            return None
        return (f"{reducer}:{kept} | {code}", -(-kept * bits // 8) + factors)

    return family


def _wide_pca(dim: int, budget: int) -> Filling:
    # Below one byte a dimension more components in float8 keep more than fewer in float16.
    return _fewer_dims("pca", "float16", 16, 0)(dim, budget) if budget >= dim else None


def _sign(dim: int, budget: int) -> Filling:
    return ("sign", -(-dim // 8))


def _itq(dim: int, budget: int) -> Filling:
    bits = min(8 * budget, dim - dim % 8)
    return (f"itq:{bits}", bits // 8) if bits else None


_FAMILIES: tuple[Callable[[int, int], Filling], ...] = (
    _float16,
    _bfloat16,
    _float8,
    _levels("scalar", (8, 6, 4, 2), 0),
    _levels("lvq", (8, 4), ROW_FACTORS),
    _levels("rabitq", (8, 7, 6, 5, 4, 3, 2, 1), ROW_FACTORS),
    _codebooks("pq"),
    _codebooks("opq"),
    _residual,
    _wide_pca,
    _fewer_dims("pca", "float8", 8, 0),
    _fewer_dims("pca", "lvq:4", 4, ROW_FACTORS),
    _fewer_dims("pca", "rabitq:1", 1, ROW_FACTORS),
    _fewer_dims("truncate", "float8", 8, 0),
    _sign,
    _itq,
)
