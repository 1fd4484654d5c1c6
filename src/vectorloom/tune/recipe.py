# SPDX-License-Identifier: Apache-2.0
"""Recipes: a whole pipeline as plain text that builds the index again.

    [reduce |] code | route [| rerank]      "pca:160 | float16 | graph:48,recall=0.97 | rerank:f16"

What each step may be is in `Recipe`.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count

if TYPE_CHECKING:
    from vectorloom.tune.pipeline import Pipeline

#: Short names of stored numbers.
_ALIASES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
_FLOATS = ("float32", "float16", "bfloat16")
_NUMBERS = (*_FLOATS, "int8", "uint8")
#: Route -> how its rows may be stored, parameter after the colon, others, and knobs of a search.
_CODES = {"scan": _NUMBERS, "ivf": (*_FLOATS, "int8", "int4"), "graph": _NUMBERS}
_MAIN = {"scan": None, "ivf": "n_lists", "graph": "degree"}
_BUILD = {"scan": ("screen",), "ivf": ("spill",), "graph": ("code", "reduce")}
_EFFORT = {"scan": (), "ivf": ("recall", "nprobe"), "graph": ("recall", "ef")}
_WORDS = frozenset({"int4", "rerank", *_NUMBERS, *_ALIASES, *_CODES})
DEPTH = 4


@dataclass(frozen=True)
class Recipe:
    """What an index is made of, and how it is searched, as plain text.

    Parameters
    ----------
    reduce : str or None, default=None
        Reducers of `vectorloom.compress` that return dense vectors, as text: ``"pca:160"``,
        ``"leanvec:160"``.
    code : str, default="float32"
        How the rows that are searched are stored. A number type ("float32", "float16", "bfloat16",
        "int8", "uint8"; "f16" and the like are understood), "int4" or "int8" under ``ivf`` for
        lists that keep codes alone, or under ``scan`` a quantizer of `vectorloom.compress`:
        ``"rabitq:4"``, ``"lvq:4x8"``, ``"pq:48"``.
    route : str, default="scan"
        What is looked at. ``"scan"``: all rows (`Exact`, or all codes); ``"scan,screen=False"``
        leaves out what makes scans quick: the int8 copy, of codes the norms that l2 needs.
        ``"ivf"`` or ``"ivf:500,spill=False"``: `IVF`. ``"graph:48"``: `Graph` of so many links,
        also with its ``code=`` and ``reduce=``. How far to look stands there too: ``recall=0.97``
        as the index measures it on its own rows, ``nprobe=12`` of ivf or ``ef=80`` of graph.
    rerank : str or None, default=None
        ``"float16,depth=4"``: keep a second copy of the vectors as they came, in this number type,
        and score the best depth * k of the search by it again.

    Raises
    ------
    ParameterError
        A step that is unknown, or that the others do not go with.

    Notes
    -----
    Two recipes that mean the same are equal. A recipe says nothing of the metric: `build` takes it.

    Examples
    --------
    >>> Recipe(code="f16", route="graph:32,recall=0.9")
    Recipe('float16 | graph:32,recall=0.9')
    >>> Recipe.parse("pca:64 | int8 | scan | rerank:f16").rerank
    'float16,depth=4'
    """

    reduce: str | None = None
    code: str = "float32"
    route: str = "scan"
    rerank: str | None = None

    def __post_init__(self) -> None:
        for name, make in (
            ("reduce", _reduce_text),
            ("code", _code_text),
            ("route", _route_text),
            ("rerank", _rerank_text),
        ):
            value = getattr(self, name)
            if value is None and name in ("reduce", "rerank"):
                continue
            if not isinstance(value, str) or not value.strip():
                raise ParameterError(f"{name} of a recipe is text; got {value!r}.")
            object.__setattr__(self, name, make(value.strip()))
        _check_pair(self)

    @classmethod
    def parse(cls, text: Any) -> Recipe:
        """Return the recipe that a text means; a recipe stays what it is.

        Parameters
        ----------
        text : str or Recipe
            Steps between ``|`` in the order reduce, code, route, rerank; all but one may be left
            out.

        Returns
        -------
        Recipe

        Raises
        ------
        ParameterError

        Examples
        --------
        >>> Recipe.parse("graph:32").code
        'float32'
        """
        if isinstance(text, Recipe):
            return text
        if not isinstance(text, str) or not text.strip():
            raise ParameterError(
                f"a recipe is text such as 'float16 | graph:48,recall=0.95'; got {text!r}."
            )
        found: dict[str, str] = {}
        for step in text.split("|"):
            place = _place_of(step.strip())
            if place == "reduce" and "reduce" in found and len(found) == 1:
                found["reduce"] += f" | {step.strip()}"
                continue
            if place in found or any(_ORDER.index(p) > _ORDER.index(place) for p in found):
                raise ParameterError(
                    f"{step.strip()!r} stands in the wrong place in {text!r}: the order is "
                    f"{', '.join(_ORDER)}, each once."
                )
            found[place] = step.strip()
        if "rerank" in found:
            found["rerank"] = found["rerank"].partition(":")[2]
        return cls(**found)

    def __str__(self) -> str:
        steps = [self.reduce, self.code, self.route]
        if self.rerank is not None:
            steps.append(f"rerank:{self.rerank}")
        return " | ".join(step for step in steps if step is not None)

    def __repr__(self) -> str:
        return f"Recipe({str(self)!r})"

    @property
    def kind(self) -> str:
        """Which route: "scan", "ivf" or "graph"."""
        return self.route.split(",")[0].partition(":")[0]

    @property
    def settings(self) -> dict[str, Any]:
        """Parameters of the route that an index is built with."""
        return {k: v for k, v in _route_of(self.route)[1].items() if k not in _EFFORT[self.kind]}

    @property
    def effort(self) -> dict[str, Any]:
        """Knobs of a search: recall, nprobe or ef."""
        return {k: v for k, v in _route_of(self.route)[1].items() if k in _EFFORT[self.kind]}

    @property
    def depth(self) -> int:
        """How many times k are scored again; 1 where nothing is."""
        return 1 if self.rerank is None else int(_pairs(self.rerank)[1]["depth"])

    @property
    def scans_codes(self) -> bool:
        """Whether all codes of a quantizer are looked at."""
        return self.code not in (*_NUMBERS, "int4")

    @property
    def built(self) -> Recipe:
        """The recipe without the knobs of a search: those equal here share an index."""
        rerank = None if self.rerank is None else self.rerank.partition(",")[0]
        return replace(self, route=_written(self.kind, self.settings), rerank=rerank)

    def with_effort(self, depth: int | None = None, **effort: Any) -> Recipe:
        """Return the same index, searched otherwise.

        Parameters
        ----------
        depth : int, default=None
            Of the re-check; None leaves it.
        **effort
            ``recall``, ``nprobe`` or ``ef``, in place of what there was.

        Returns
        -------
        Recipe
        """
        rerank = self.rerank
        if depth is not None and rerank is not None:
            rerank = f"{rerank.partition(',')[0]},depth={depth}"
        return replace(self, route=_written(self.kind, self.settings | effort), rerank=rerank)

    def build(
        self,
        X: Any,
        ids: Any = None,
        *,
        metric: str = "cosine",
        queries: Any = None,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> Pipeline:
        """Build the index.

        Parameters
        ----------
        X : array-like of shape (n, dim)
        ids : array-like of shape (n,), int64 or str, default=None
            None gives 0, 1, …, n - 1.
        metric : {"cosine", "ip", "l2"}, default="cosine"
        queries : array-like of shape (m, dim), default=None
            Sample queries, for reducers that learn from them.
        n_jobs : int or None, default=None
            Threads; None and -1 take all that the process is allowed.
        random_state : int, default=0

        Returns
        -------
        Pipeline
            With ``search``, ``save`` and the like of an index.
        """
        from vectorloom.tune.pipeline import Pipeline

        return Pipeline(self, metric, n_jobs=n_jobs, random_state=random_state).fit(
            X, ids, queries=queries
        )


_ORDER = ("reduce", "code", "route", "rerank")


def _place_of(step: str) -> str:
    word = step.partition(":")[0].split(",")[0].strip().lower()
    if word in _CODES:
        return "route"
    if word == "rerank":
        return "rerank"
    if word in _WORDS:
        return "code"
    from vectorloom.compress.recipe import from_text

    return "reduce" if from_text(step).output == "dense" else "code"


def _reduce_text(text: str) -> str:
    from vectorloom.compress.recipe import from_text, to_text

    reducer = from_text(text)
    if reducer.output != "dense":
        raise ParameterError(
            f"{text!r} returns {reducer.output} and reduces nothing; give it as code=, with "
            "route='scan'."
        )
    return to_text(reducer)


def _code_text(text: str) -> str:
    word = _ALIASES.get(text.lower(), text.lower())
    if word in _WORDS:
        return word
    from vectorloom.compress.recipe import from_text, to_text

    quantizer = from_text(text)
    if quantizer.output != "codes":
        raise ParameterError(
            f"{text!r} returns {quantizer.output} and no codes; give it as reduce=."
        )
    return to_text(quantizer)


def _route_text(text: str) -> str:
    return _written(*_route_of(text))


def _route_of(text: str) -> tuple[str, dict[str, Any]]:
    head, given = _pairs(text)
    kind, colon, main = head.partition(":")
    kind = kind.strip().lower()
    if kind not in _CODES:
        raise ParameterError(f"{kind!r} is no route of a recipe; there are {', '.join(_CODES)}.")
    params: dict[str, Any] = {}
    name = _MAIN[kind]
    if colon:
        if name is None:
            raise ParameterError(f"{kind} takes no number; got {text!r}.")
        params[name] = check_count(name, _literal(main))
    allowed = (*_BUILD[kind], *_EFFORT[kind])
    for key, value in given.items():
        if key not in allowed:
            words = ", ".join(allowed)
            raise ParameterError(f"{kind} has no parameter {key!r} in recipes; it has {words}.")
        params[key] = value
    if len([key for key in params if key in _EFFORT[kind]]) > 1:
        raise ParameterError(f"{text!r} gives two efforts; one of {_EFFORT[kind]} is meant.")
    return kind, params


def _written(kind: str, params: dict[str, Any]) -> str:
    main = _MAIN[kind]
    head = kind
    rest = dict(params)
    if main is not None and rest.get(main) is not None:
        head += f":{rest.pop(main)}"
    order = (*_BUILD[kind], *_EFFORT[kind])
    pairs = [f"{key}={rest[key]}" for key in order if rest.get(key) is not None]
    return ",".join([head, *pairs])


def _rerank_text(text: str) -> str:
    word, given = _pairs(text)
    word = _ALIASES.get(word.lower(), word.lower())
    unknown = sorted(set(given) - {"depth"})
    if word not in _NUMBERS or unknown:
        raise ParameterError(
            f"rerank is one of {', '.join(_NUMBERS)}, with depth= behind it; got {text!r}."
        )
    return f"{word},depth={check_count('depth', given.get('depth', DEPTH))}"


def _pairs(text: str) -> tuple[str, dict[str, Any]]:
    head, *rest = [piece.strip() for piece in text.split(",")]
    given = {}
    for pair in rest:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ParameterError(f"{pair!r} in {text!r} must be name=value.")
        given[key.strip()] = _literal(value)
    return head, given


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()


def _check_pair(recipe: Recipe) -> None:
    kind, code = recipe.kind, recipe.code
    if code not in _CODES[kind] and not (kind == "scan" and recipe.scans_codes):
        hint = " A graph makes codes of its own, see its code=." if kind == "graph" else ""
        raise ParameterError(
            f"{kind} does not search {code!r}; it takes {', '.join(_CODES[kind])}"
            f"{' or a quantizer' if kind == 'scan' else ''}.{hint}"
        )
    if recipe.reduce is not None and code == "uint8":
        raise ParameterError("reduced vectors are no whole numbers: code='uint8' is for raw rows.")
