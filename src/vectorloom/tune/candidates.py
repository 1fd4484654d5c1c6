# SPDX-License-Identifier: Apache-2.0
"""Which recipes are tried, and what an index of each will hold, before anything is built."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.index.dense.encoding import STORED
from vectorloom.index.dense.graph_memory import code_bytes, held_bytes
from vectorloom.index.dense.store import SCREEN_MIN_ROWS, SCREENED, screen_bytes
from vectorloom.tune.problem import Problem
from vectorloom.tune.recipe import Recipe

_SAMPLE = 4096
#: Shares of the variance that reducers keep.
_KEPT = (0.98, 0.9)
#: Fewer dimensions than this are not reduced, nor brought to codes of few bits.
_FEWEST = 24
#: Below so many rows an index has no lists; samples are no smaller.
FEWEST_LISTED = 4608
#: Below so many a scan is as quick as a walk.
_FEWEST_WALKED = 1024
#: Estimates are of the least that an index holds: this share is always taken.
_SURELY = 0.8

_DEGREES = (48, 64, 32, 24, 16)
# Of each family the first is the most faithful: it runs for the others (see `family`).
_PLAIN = (
    "float32 | scan",
    "float32 | scan,screen=False",
    "float16 | scan",
    "float16 | scan,screen=False",
    "int8 | scan",
    "float32 | ivf",
    "float32 | ivf,spill=False",
    "float16 | ivf",
    "float16 | ivf,spill=False",
    "int8 | ivf",
    "int8 | ivf,spill=True",
    "int4 | ivf",
    "int4 | ivf,spill=True",
    *(f"{code} | graph:{degree}" for code in ("float32", "float16", "int8") for degree in _DEGREES),
)
_WHOLE = ("uint8 | scan", *(f"uint8 | graph:{degree}" for degree in _DEGREES))
# Codes of a byte a dimension pay at any dimension, those of few bits and reducers at many.
_BYTES = ("lvq:8 | scan", "scalar:8 | scan")
_BYTES_ALONE = ("lvq:8 | scan,screen=False", "scalar:8 | scan,screen=False")
_CODED = (
    "rabitq:6 | scan",
    "rabitq:5 | scan",
    "rabitq:4 | scan",
    "rabitq:3 | scan",
    "rabitq:4 | scan | rerank:float16",
    "rabitq:2 | scan | rerank:float16",
    "rabitq:4 | scan | rerank:int8",
    "rabitq:2 | scan | rerank:int8",
    "sign | scan | rerank:int8",
)
_REDUCED = (
    "{reduce} | int8 | scan",
    "{reduce} | float16 | graph:32",
    "{reduce} | int8 | graph:32",
    "{reduce} | int8 | ivf",
    "{reduce} | int4 | ivf",
    "{reduce} | int8 | scan | rerank:float16",
    "{reduce} | int8 | scan | rerank:int8",
    "{reduce} | int8 | graph:32 | rerank:float16",
    "{reduce} | int8 | graph:32 | rerank:int8",
    "{reduce} | int4 | ivf | rerank:float16",
    "{reduce} | int4 | ivf | rerank:int8",
)
_LEARNED = (
    "{reduce} | int8 | scan | rerank:float16",
    "{reduce} | int8 | graph:32 | rerank:float16",
)


def candidates(problem: Problem, recipes: object = None, bytes_count: bool = True) -> list[Recipe]:
    """Return the recipes to try, without their efforts.

    Parameters
    ----------
    problem : Problem
    recipes : list of Recipe or str, or None, default=None
        The user's; None takes the house's.
    bytes_count : bool, default=True
        Whether a goal is about bytes. Where none is, reducers in front of graphs and lists are left
        out: these search few directions by themselves, so all that a reducer saves is memory.

    Returns
    -------
    list of Recipe

    Raises
    ------
    ParameterError
        Not recipes, or none.
    """
    if recipes is not None:
        if isinstance(recipes, str | Recipe):
            recipes = [recipes]
        if not isinstance(recipes, list | tuple) or not recipes:
            raise ParameterError(
                f"recipes must be a list of recipes, such as ['graph:32']; got {recipes!r}."
            )
        return _unique([Recipe.parse(each).built for each in recipes])
    dim = problem.base.shape[1]
    texts = list(_PLAIN)
    if problem.is_whole:
        texts += _WHOLE
    texts += _BYTES
    if problem.metric == "l2":  # whose norms may be left out
        texts += _BYTES_ALONE
    if dim >= _FEWEST:
        texts += _CODED
        sizes = reduced_sizes(problem.base, problem.random_state)
        reduced = [text for text in _REDUCED if bytes_count or " | scan" in text]
        for size in sizes:
            texts += [text.format(reduce=f"pca:{size}") for text in reduced]
        if sizes and problem.source == "given" and problem.metric != "l2":
            learned = [text for text in _LEARNED if bytes_count or " | scan" in text]
            texts += [text.format(reduce=f"leanvec:{sizes[-1]}") for text in learned]
    found = _unique([Recipe.parse(text).built for text in texts])
    least = {"scan": 0, "ivf": FEWEST_LISTED, "graph": _FEWEST_WALKED}
    return [recipe for recipe in found if len(problem.base) >= least[recipe.kind]]


def family(recipe: Recipe) -> tuple[object, ...]:
    """Return what recipes of one kind share; how fast they are differs little among them.

    Examples
    --------
    >>> family(Recipe.parse("float16 | graph:24")) == family(Recipe.parse("graph:48"))
    True
    """
    alone = recipe.code if recipe.code in ("int8", "int4") and recipe.kind != "graph" else ""
    if recipe.kind == "ivf" and alone:
        alone = "codes"
    screen = recipe.settings.get("screen", True)
    return (
        recipe.kind,
        recipe.scans_codes,
        alone,
        screen,
        recipe.reduce is not None,
        recipe.rerank is not None,
    )


def _unique(recipes: list[Recipe]) -> list[Recipe]:
    return list(dict.fromkeys(recipes))


def reduced_sizes(rows: NDArray[np.float32], random_state: int) -> list[int]:
    """Return dimensions that keep 98 and 90 % of the variance, where these are far fewer.

    Parameters
    ----------
    rows : ndarray of shape (n, dim), float32
    random_state : int

    Returns
    -------
    list of int
        Multiples of 8, descending.
    """
    n, dim = rows.shape
    rng = np.random.default_rng(random_state)
    drawn = rows[np.sort(rng.choice(n, min(n, _SAMPLE), replace=False))].astype(np.float64)
    drawn -= drawn.mean(axis=0)
    values = np.linalg.eigvalsh(drawn.T @ drawn)[::-1]
    total = float(values.sum())
    if total <= 0:
        return []
    kept = np.cumsum(values) / total
    sizes = []
    for share in _KEPT:
        size = 8 * math.ceil((int(np.searchsorted(kept, share)) + 1) / 8)
        if 8 <= size <= 0.75 * dim and size < min(n, _SAMPLE) and size not in sizes:
            sizes.append(size)
    return sizes


def least_bytes(recipe: Recipe, n: int, dim: int, metric: str) -> int:
    """Return bytes that an index of a recipe surely holds.

    Parameters
    ----------
    recipe : Recipe
    n, dim : int
    metric : str

    Returns
    -------
    int

    Examples
    --------
    >>> least_bytes(Recipe.parse("float16 | scan,screen=False"), 1000, 64, "ip") >= 128_000
    True
    """
    width = dim
    if recipe.reduce is not None:
        from vectorloom.compress.recipe import from_text

        last = getattr(from_text(recipe.reduce), "steps", [from_text(recipe.reduce)])[-1]
        width = int(getattr(last, "n_components", None) or dim)
    total = _inner_bytes(recipe, n, width, metric)
    if recipe.rerank is not None:
        total += n * dim * STORED[recipe.rerank.partition(",")[0]].itemsize
    return total


def _is_levels(code: str) -> bool:
    """Whether a code has so many bits a dimension."""
    return code.partition(":")[0].split(",")[0] in ("scalar", "lvq", "rabitq", "sign")


def _inner_bytes(recipe: Recipe, n: int, width: int, metric: str) -> int:
    if recipe.scans_codes:
        from vectorloom.compress.recipe import from_text

        # Ids that count take none; what else a code holds is known when some were made.
        bits = int(getattr(from_text(recipe.code), "bits", 1))
        return n * width * bits // 8 if _is_levels(recipe.code) else 0
    if recipe.kind == "ivf" and recipe.code in ("int8", "int4"):
        return int(_SURELY * n * width * (1.0 if recipe.code == "int8" else 0.5))
    rows = n * width * STORED[recipe.code].itemsize
    if recipe.kind == "graph":
        space = width + (metric == "ip")
        # Of no direction more than one line of the cache.
        return rows + held_bytes(
            n, 0, int(recipe.settings.get("degree", 48)), min(64, code_bytes(space))
        )
    if recipe.kind == "ivf":
        return rows + int(_SURELY * n * width)
    has_screen = recipe.settings.get("screen") is not False and recipe.code in SCREENED
    return rows + (screen_bytes(n, width) if has_screen and n >= SCREEN_MIN_ROWS else 0)
