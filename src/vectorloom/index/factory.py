# SPDX-License-Identifier: Apache-2.0
"""Indexes by faiss's factory strings, as far as they mean the same here.

    [IDMap,] [L2norm,] kind [,RFlat]
    kind = Flat | SQ… | BFlat | HNSWm | NSGr | IVFn,Flat | [IVFn,] code
    code = PQm | OPQm,PQm | RQm | SQ4 | SQ6 | SQ8 | RaBitQ, [PCAd,] before it

What cannot be honoured is refused, and the nearest string that can is named.
"""

from __future__ import annotations

import inspect
import re
import warnings
from dataclasses import dataclass, field
from typing import Any

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice
from vectorloom.index.dense.exact import Exact
from vectorloom.index.dense.graph import Graph
from vectorloom.index.dense.ivf import IVF
from vectorloom.index.dense.row_index import RowIndex
from vectorloom.vectors import METRICS

SUPPORTED = (
    "'Flat', 'SQ8', 'SQfp16', 'SQbf16', 'SQ8_direct', 'BFlat', 'IVF<n>,Flat', 'HNSW<m>[,Flat]', "
    "'HNSW<m>_SQ8' and the like, 'NSG<r>[,Flat]', 'PQ<m>', 'OPQ<m>,PQ<m>', 'RQ<m>', 'SQ4', 'SQ6', "
    "'RaBitQ', behind 'IVF<n>,' too, with 'PCA<d>,' before them, with 'IDMap,' or 'L2norm,' before "
    "and ',RFlat' behind"
)
_STORED = {
    "Flat": "float32",
    "SQ8": "int8",
    "SQfp16": "float16",
    "SQbf16": "bfloat16",
    "SQ8_direct": "uint8",
    "BFlat": "bits",
}
#: faiss's own defaults of the numbers that a string may leave out.
_HNSW_M = 32
_NSG_R = 32
#: Lists, and the index over their centroids.
_LISTS = r"IVF(\d+)([kM]?)(_(?:HNSW|NSG)\d*|\((?:Flat|(?:HNSW|NSG)\d*(?:,Flat)?)\))?"
#: A graph, its links, and how its rows are stored.
_GRAPH = r"(HNSW|NSG)(\d*)(?:_(SQ8|SQfp16|SQbf16|SQ8_direct))?"
_UNITS = {"": 1, "k": 1024, "M": 1024**2}
#: Of `vectorloom.index.dense.graph.Graph`.
_FEWEST_LINKS, _MOST_LINKS = 4, 96
#: Codes by which lists, or one list of all, are searched.
_CODED = {
    r"PQ(\d+)(?:x([48])(?:fsr?)?)?": "pq",
    r"RQ(\d+)(?:x([48]))?": "rq",
    r"SQ([468])()": "scalar",
    r"RaBitQ([1-8]?)()": "rabitq",
}
_NEEDLESS = ("IDMap", "IDMap2")
_REFINED = ("RFlat", "Refine(Flat)")
_TRANSFORMS = {
    "PCA": "vl.compress.PCA",
    "PCAR": "vl.compress.PCA",
    "PCAW": "vl.compress.Whitening",
    "PCAWR": "vl.compress.Whitening",
    "OPQ": "vl.compress.OPQ",
    "ITQ": "vl.compress.ITQ",
    "RR": "vl.compress.RandomProjection",
    "HR": "vl.compress.RandomProjection",
}
_CODES = {
    "PQ": "vl.compress.PQ",
    "RQ": "vl.compress.ResidualQuantizer",
    "LSQ": "vl.compress.ResidualQuantizer",
    "PLSQ": "vl.compress.ResidualQuantizer",
    "PRQ": "vl.compress.ResidualQuantizer",
    "RaBitQ": "vl.compress.RaBitQ",
    "LSH": "vl.compress.Sign",
    "SQ4": "vl.compress.Scalar",
    "SQ6": "vl.compress.Scalar",
}


@dataclass
class _Plan:
    """What a string asks for."""

    make: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    normed: bool = False
    needless: str | None = None
    refined: bool = False


def from_factory(text: Any, metric: str | None = None, **params: Any) -> RowIndex:
    """Return the unfitted index that a faiss factory string asks for.

    Parameters
    ----------
    text : str
        Such as ``"Flat"``, ``"SQfp16"``, ``"IVF1024,Flat"``, ``"HNSW32"``, ``"NSG64,Flat"``,
        ``"BFlat"``, ``"L2norm,IVF4k,Flat"``. Names are as in faiss, upper and lower case included.
    metric : {"cosine", "ip", "l2", "hamming"}, default=None
        None is cosine, and hamming for ``"BFlat"``; faiss's own default is l2. ``"L2norm,"`` before
        an inner product is the cosine.
    **params
        Other parameters of the index, such as `n_jobs`; not those that the string gives.

    Returns
    -------
    Exact, IVF or Graph

    Raises
    ------
    ParameterError
        A part of the string that has no equal here: the message names it, what is supported, the
        nearest supported string, and what to use instead. Nothing is replaced silently.

    Warns
    -----
    UserWarning
        ``IVF<n>_HNSW<m>,Flat``: the graph over the centroids is not built, since here they are
        compared one by one.

    Notes
    -----
    The table of equals is in the page of this function. Answers are not faiss's bit by bit: indexes
    here re-score in float64 and order ties by id, effort is chosen by ``recall=``, and SQ8 scales
    row by row where faiss scales dimension by dimension.

    References
    ----------
    .. [1] M. Douze et al., "The Faiss library", 2024, arXiv:2401.08281.

    Examples
    --------
    >>> from_factory("IVF1024,Flat", metric="l2")
    IVF(metric='l2', n_lists=1024)
    >>> from_factory("SQfp16")
    Exact(dtype='float16')
    >>> from_factory("IVF64,PQ32")
    IVF(n_lists=64, rerank=False, code='pq:32')
    >>> from_factory("IVF64,PQ32x4fs,RFlat")
    IVF(n_lists=64, code='pq:32x4')
    >>> from_factory("HNSW32_PQ16")
    Traceback (most recent call last):
        ...
    vectorloom.errors.ParameterError: 'PQ16' in 'HNSW32_PQ16' is not supported: ...
    """
    if not isinstance(text, str) or not text.strip():
        raise ParameterError(
            f"a factory string is expected, such as 'IVF1024,Flat'; got {text!r}. Supported: "
            f"{SUPPORTED}."
        )
    plan = _parsed(text)
    chosen = _metric(text, metric, plan)
    cls = _class(plan.make)
    clash = sorted({"metric", *plan.params} & set(params))
    if clash:
        raise ParameterError(f"{clash[0]} is given by the string {text!r}; do not pass it as well.")
    known = inspect.signature(cls).parameters
    unknown = sorted(set(params) - set(known))
    if unknown:
        raise ParameterError(
            f"{cls.__name__}, which {text!r} makes, has no parameter {unknown[0]!r}; it has "
            f"{', '.join(known)}."
        )
    if plan.needless is not None:
        warnings.warn(
            f"{plan.needless!r} in {text!r} is not needed: centroids are compared one by one, "
            "exactly.",
            stacklevel=2,
        )
    index: RowIndex = cls(metric=chosen, **plan.params, **params)
    return index


def _parsed(text: str) -> _Plan:
    plan = _Plan()
    rest = _stripped(text, plan)
    if _coded(plan, rest):
        return plan
    head, tail = rest[0], rest[1:]
    if head in _STORED:
        plan.make = "Exact"
        plan.params = {} if head == "Flat" else {"dtype": _STORED[head]}
    elif found := re.fullmatch(_LISTS, head):
        plan.make = "IVF"
        plan.params = {"n_lists": _number(text, head, found[1]) * _UNITS[found[2]]}
        if found[3] not in (None, "(Flat)"):
            plan.needless = found[3]
    elif found := re.fullmatch(_GRAPH, head):
        plan.make = "Graph"
        plan.params = {"degree": _degree(text, head, found[1], found[2])}
        if found[3]:
            plan.params["dtype"] = _STORED[found[3]]
    else:
        raise _unknown_head(text, head, tail)
    _check_tail(text, plan, head, tail)
    return plan


def _stripped(text: str, plan: _Plan) -> list[str]:
    """Return the parts that make an index; what stands around them goes into the plan."""
    rest: list[str] = []
    for part in _split(text.strip()):
        if part in _NEEDLESS:
            continue  # ids are what an index here has anyway
        if part in _REFINED:
            plan.refined = True  # so are true scores, but where codes are all that is kept
        elif part == "L2norm" and not rest:
            plan.normed = True
        else:
            rest.append(part)
    if not rest:
        raise _refused(text, text, "it names no index", "Flat")
    return rest


def _coded(plan: _Plan, parts: list[str]) -> bool:
    """Take lists of codes, or codes alone, into the plan; False where this is neither."""
    words, lists = list(parts), 1
    steps = []
    if found := re.fullmatch(r"PCA(\d+)", words[0]):
        steps.append(f"pca:{found[1]}")
        words.pop(0)
    turned = re.fullmatch(r"OPQ(\d+)", words[0]) if words else None
    if turned:
        words.pop(0)
    if words and (found := re.fullmatch(_LISTS, words[0])):
        lists = int(found[1]) * _UNITS[found[2]]
        plan.needless = None if found[3] in (None, "(Flat)") else found[3]
        words.pop(0)
    if len(words) != 1 or lists == 0 or words[0] == "SQ8" == parts[0]:
        return False
    code = _code(words[0])
    if code is None or (turned and not code.startswith(f"pq:{turned[1]}")):
        return False
    steps.append("o" + code if turned else code)
    plan.make = "IVF"
    plan.params = {"n_lists": lists, "code": " | ".join(steps)}
    if not plan.refined:
        plan.params["rerank"] = False
    return True


def _code(word: str) -> str | None:
    """Return the recipe of a code, None for what is none."""
    for pattern, name in _CODED.items():
        if found := re.fullmatch(pattern, word):
            sizes = "x".join(size for size in found.groups() if size)
            return f"{name}:{sizes}" if sizes else name
    return None


def _check_tail(text: str, plan: _Plan, head: str, tail: list[str]) -> None:
    wanted = {"Exact": [""], "IVF": ["Flat"], "Graph": ["", "Flat"]}[plan.make]
    if plan.make == "Graph" and "dtype" in plan.params:
        wanted = [""]
    if ",".join(tail) in wanted and "" not in tail:
        return
    nearest = f"{head},Flat" if plan.make == "IVF" else head
    if not tail:
        raise _refused(text, text, "rows in lists need a storage", nearest)
    bad = next((part for part in tail if part != "Flat"), tail[-1])
    raise _refused(text, bad, _why(bad), nearest)


def _unknown_head(text: str, head: str, tail: list[str]) -> ParameterError:
    for name in sorted(_TRANSFORMS, key=len, reverse=True):
        if re.fullmatch(name + r"[\d_]*(\(.*\))?", head) and tail:
            why = f"map the vectors first, with {_TRANSFORMS[name]}"
            return _refused(text, head, why, ",".join(tail) or "Flat")
    if found := re.fullmatch(r"(HNSW|NSG)(\d+)_(.+)", head):
        return _refused(text, found[3], _why(found[3]), f"{found[1]}{found[2]},Flat")
    if found := re.match(r"(IVF\d+[kM]?)", head):
        return _refused(text, head, "its centroids are kept another way", f"{found[1]},Flat")
    if head.startswith("IMI"):
        return _refused(text, head, "there is one level of lists", "IVF4096,Flat")
    nearest = {"BIVF": "BFlat", "BHNSW": "BFlat", "BHash": "BFlat", "SQ": "SQ8"}
    for name, text_of in nearest.items():
        if head.startswith(name):
            return _refused(text, head, _why(head), text_of)
    return _refused(text, head, _why(head), "Flat")


def _why(part: str) -> str:
    for name in sorted(_CODES, key=len, reverse=True):
        if part.startswith(name):
            return f"codes like these are made by {_CODES[name]}; IVF(code=…) takes them"
    if part.startswith("Refine"):
        return "scores are those of the stored rows already"
    if part.startswith(("SQ", "Flat")):
        return "rows are kept as float32 there"
    if part.startswith("B"):
        return "bits are searched whole"
    return "there is nothing of the kind"


def _refused(text: str, part: str, why: str, nearest: str) -> ParameterError:
    return ParameterError(
        f"{part!r} in {text!r} is not supported: {why}. The nearest supported string is "
        f"{nearest!r}. Supported are {SUPPORTED}."
    )


def _split(text: str) -> list[str]:
    """Split at commas that are in no brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _number(text: str, part: str, digits: str) -> int:
    number = int(digits)
    if number == 0:
        raise _refused(text, part, "the number must be at least 1", part.replace(digits, "32", 1))
    return number


def _degree(text: str, head: str, kind: str, digits: str) -> int:
    """Return the links of a node: those of HNSW's bottom layer are two for each of its M."""
    each = 2 if kind == "HNSW" else 1
    number = int(digits) if digits else {"HNSW": _HNSW_M, "NSG": _NSG_R}[kind]
    low, high = -(-_FEWEST_LINKS // each), _MOST_LINKS // each
    if not low <= number <= high:
        nearest = f"{kind}{min(max(number, low), high)}"
        why = f"a graph here has {_FEWEST_LINKS} to {_MOST_LINKS} links a row, not {each * number}"
        raise _refused(text, head, why, nearest)
    return each * number


def _metric(text: str, metric: str | None, plan: _Plan) -> str:
    bits = plan.params.get("dtype") == "bits"
    chosen = ("hamming" if bits else "cosine") if metric is None else metric
    check_choice("metric", chosen, METRICS)
    if plan.normed:
        if chosen not in ("cosine", "ip"):
            raise ParameterError(
                f"'L2norm' in {text!r} makes the inner product a cosine; got metric={metric!r}. "
                "Normalise rows and queries first, or pass metric='cosine'."
            )
        chosen = "cosine"
    if bits != (chosen == "hamming"):
        raise ParameterError(
            f"{text!r} does not go with metric={metric!r}: 'BFlat' is for metric='hamming', which "
            "is for 'BFlat' alone."
        )
    return chosen


def _class(name: str) -> Any:
    return {"Exact": Exact, "IVF": IVF, "Graph": Graph}[name]
