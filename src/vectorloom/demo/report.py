# SPDX-License-Identifier: Apache-2.0
"""report.html: one file that needs no network, made from the numbers of a run."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.demo.passages import STDLIB, Passage
from vectorloom.demo.questions import Quality
from vectorloom.demo.result import DemoResult, Question, TunedStep, counted
from vectorloom.io.pages import fill, write_text

_TEMPLATE = Path(__file__).with_name("report_page.html")
_N_COLOURS = 8  # more hues cannot be told apart; the other packages share a grey
_N_LABELS = 18
_SUMMARY_CHARS = 140
_WORD = re.compile(r"[^\W\d_]{3,}")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True)
class Picture:
    """Passages and where each is drawn, in the unit square."""

    positions: NDArray[np.float32]
    passages: list[Passage]


def write_report(result: DemoResult, picture: Picture) -> None:
    """Write the report to ``result.report``, whole or not at all."""
    write_text(render(result, picture), result.report)


def render(result: DemoResult, picture: Picture) -> str:
    """Return the page as text."""
    parts = {
        "lede": _lede(result),
        "facts": _facts(result),
        "questions": "\n".join(_question(q) for q in result.questions),
        "pictured": _pictured(result, picture),
        "dim": f"{result.speed[0].dim}",
        "task": _task(result),
        "quality": _quality(result.quality),
        "fusion": _fusion(result.quality),
        "tuned": _tuned(result.tuned),
        "speed_text": _speed_text(result),
        "speed": _speed(result),
        "same": _same(result.same_answers),
        "corpus": _corpus(result),
        "machine": _machine(result),
        "data": _script_data(picture),
    }
    return fill(_TEMPLATE, parts)


def _lede(result: DemoResult) -> str:
    corpus = result.corpus
    return (
        f"{corpus.n_passages:,} passages from the documentation of "
        f"{counted(len(corpus.packages), 'package')} on this machine were gathered, turned into "
        "vectors without any pretrained model, indexed, searched and measured in "
        f"{result.seconds['total']:.0f} seconds."
    )


def _facts(result: DemoResult) -> str:
    one, batch = (
        max(
            (
                s.queries_per_s
                for s in result.speed
                if is_ours(s.method) and (s.mode == single) == wanted
            ),
            default=0.0,
        )
        for single, wanted in (("one at a time", True), ("one at a time", False))
    )
    facts = [
        (f"{result.corpus.n_passages:,}", "passages"),
        (f"{result.seconds['learning']:.1f} s", "to learn the vectors"),
        (f"{batch:,.0f}", "exact searches a second, in a batch"),
        (f"{1000 / one:.2f} ms" if one else "n/a", "for one exact search"),
    ]
    return "".join(f"<div><b>{value}</b><span>{name}</span></div>" for value, name in facts)


def is_ours(method: str) -> bool:
    """Whether a row of a table is about this package."""
    return method.startswith(("vectorloom", "DualEncoder"))


def _question(question: Question) -> str:
    items = "".join(
        f'<li><span class="score">{a.score:.2f}</span><code>{escape(a.title)}</code>'
        f'<span class="said">{escape(_short(a.summary, 220))}</span></li>'
        for a in question.answers
    )
    if not items:
        items = (
            '<li><span class="score">–</span><span>Nothing: no word of the question occurs in '
            "the passages.</span></li>"
        )
    return f'<div class="card asked"><h3>{escape(question.text)}</h3><ol>{items}</ol></div>'


def _pictured(result: DemoResult, picture: Picture) -> str:
    shown, n = len(picture.passages), result.corpus.n_passages
    return f"all {n:,} passages" if shown == n else f"a random {shown:,} of {n:,} passages"


def _task(result: DemoResult) -> str:
    n = result.quality[0].n_queries if result.quality else 0
    return (
        f"A query is the first sentence of a docstring; the only right answer is the rest of the "
        f"same docstring, among {result.n_searched:,} rests. The object’s own name and its class’s "
        f"or module’s are cut from both. {n:,} queries whose sentence and answer are unique; no "
        "query was seen in learning."
    )


def _quality(quality: Sequence[Quality]) -> str:
    blocks = []
    measures = (
        ("MRR@10", "one over the place of the right passage", "mrr_at_10", "mrr_interval"),
        ("nDCG@10", "gentler on second and third places", "ndcg_at_10", "ndcg_interval"),
    )
    for name, meaning, value, interval in measures:
        rows = "".join(_bar(q.method, getattr(q, value), getattr(q, interval)) for q in quality)
        blocks.append(f"<div><h3>{name} <span>· {meaning}</span></h3>{rows}{_AXIS}</div>")
    found = ", ".join(f"{escape(q.method)} {100 * q.found_at_10:.0f} %" for q in quality)
    blocks.append(f"<div><h3>Found among the first ten</h3>{found}</div>")
    return "".join(blocks)


_AXIS = (
    '<div class="axis"><div>'
    + "".join(f'<span style="left:{20 * fifth}%">{fifth / 5:g}</span>' for fifth in range(6))
    + "</div></div>"
)


def _bar(method: str, value: float, interval: tuple[float, float]) -> str:
    low, high = (100 * bound for bound in interval)
    ours = " ours" if is_ours(method) else ""
    return (
        f'<div class="bar"><span>{escape(method)}</span><span class="track">'
        f'<span class="fill{ours}" style="width:{100 * value:.2f}%"></span>'
        f'<span class="whisker" style="left:{low:.2f}%;width:{high - low:.2f}%"></span></span>'
        f'<span class="value">{value:.3f} <small>± {(high - low) / 200:.3f}</small></span></div>'
    )


def _fusion(quality: Sequence[Quality]) -> str:
    by_name = {q.method.split()[0]: q.mrr_at_10 for q in quality}
    if not {"BM25", "both"} <= by_name.keys():
        return ""
    if by_name["both"] < by_name["BM25"]:
        return (
            "Giving both an equal vote (reciprocal rank fusion) does not help here: it lowers BM25."
        )
    return "Giving both an equal vote (reciprocal rank fusion) does better than words alone."


def _speed_text(result: DemoResult) -> str:
    first = result.speed[0]
    return (
        f"Top {first.k} of {first.n_vectors:,} vectors of {first.dim} dimensions in float32, by "
        f"cosine, beside the obvious NumPy program: a matrix product and argpartition."
    )


def _speed(result: DemoResult) -> str:
    rows: dict[tuple[str, int], dict[bool, float]] = {}
    for row in result.speed:
        rows.setdefault((row.mode, row.threads), {})[is_ours(row.method)] = row.queries_per_s
    body = "".join(
        f"<tr><td>{escape(mode)}</td><td>{threads}</td><td>{pair[True]:,.0f}</td>"
        f'<td>{pair[False]:,.0f}</td><td class="strong">{pair[True] / pair[False]:.1f}×</td></tr>'
        for (mode, threads), pair in rows.items()
    )
    head = "".join(
        f'<th scope="col">{name}</th>'
        for name in (
            "Queries given",
            "Threads",
            "vectorloom, queries/s",
            "NumPy, queries/s",
            "Ratio",
        )
    )
    return f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"


def _same(share: float) -> str:
    if share == 1:
        return " (the same ones for every query)"
    return (
        f" (the same ones for {100 * share:.2f} % of the queries; the others differ in ties and "
        "rounding)"
    )


def _tuned(tuned: TunedStep) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in [tuned.said, *tuned.why, *tuned.advice])
    name = escape(Path(tuned.page).name)
    return (
        f'<div class="card asked"><h3><code>{escape(tuned.recipe)}</code></h3><ul>{items}</ul>'
        f"<p>The picture of all that was measured is <code>{name}</code> in the same folder; the "
        f"index that was built is <code>{escape(Path(tuned.index).name)}</code>.</p></div>"
    )


def _corpus(result: DemoResult) -> str:
    corpus = result.corpus
    largest = list(corpus.packages.items())[:6]
    facts = [
        ("Source files read", f"{corpus.n_files:,}"),
        ("Files skipped", f"{_skipped(corpus.skipped)}"),
        ("Exact copies dropped", f"{corpus.n_duplicates:,}"),
        *((f"From {_package_name(name)}", f"{n:,}") for name, n in largest),
        ("From others", f"{sum(list(corpus.packages.values())[6:]):,}"),
    ]
    if corpus.is_capped:
        facts.append(("Stopped early", f"at {corpus.n_passages:,} passages"))
    return _definitions(facts)


def _skipped(skipped: dict[str, int]) -> str:
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in sorted(skipped.items()))
    return f"{sum(skipped.values()):,}" + (f" ({reasons})" if reasons else "")


def _package_name(name: str) -> str:
    return "the standard library" if name == STDLIB else name


def _machine(result: DemoResult) -> str:
    machine = result.machine
    steps = ", ".join(
        f"{name} {seconds:.1f}" for name, seconds in result.seconds.items() if name != "total"
    )
    return _definitions(
        [
            ("Processor", machine["cpu"]),
            ("Kernels used", machine["simd_level"]),
            ("Threads allowed", machine["threads"]),
            ("System", machine["system"]),
            ("Python", machine["python"]),
            *machine["versions"].items(),
            ("Seconds", steps),
        ]
    )


def _definitions(facts: Iterable[tuple[str, Any]]) -> str:
    return "".join(
        f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>" for name, value in facts
    )


def _script_data(picture: Picture) -> str:
    """JSON of the picture, with every ``<`` escaped so that no text can end the script."""
    counts = Counter(p.package for p in picture.passages)
    groups = [name for name, _ in counts.most_common(_N_COLOURS)]
    has_other = len(counts) > len(groups)
    group_of = {name: number for number, name in enumerate(groups)}
    points = [
        [round(float(x), 4), round(float(y), 4), group_of.get(p.package, len(groups)), p.title,
         _short(p.summary, _SUMMARY_CHARS)]
        for (x, y), p in zip(picture.positions, picture.passages, strict=True)
    ]  # fmt: skip
    data = {
        "groups": [_package_name(name) for name in groups]
        + (["other packages"] if has_other else []),
        "has_other": has_other,
        "points": points,
        "labels": _labels(picture),
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _labels(picture: Picture) -> list[list[Any]]:
    """Words that set the regions of the picture apart: [x, y, word], largest region first.

    Regions are k-means clusters of the positions; a word's weight in a region is its count of
    passages there times the logarithm of how much commoner it is there than everywhere.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    n = len(picture.passages)
    n_regions = min(_N_LABELS, n // 20)
    if n_regions < 2:
        return []
    with threadpool_limits(limits=1):
        regions = KMeans(n_regions, n_init=3, random_state=0).fit(picture.positions)
    words = [_label_words(p) for p in picture.passages]
    everywhere = Counter(word for found in words for word in found)
    labels, used = [], set()
    for region, size in Counter(regions.labels_.tolist()).most_common():
        inside = np.flatnonzero(regions.labels_ == region)
        here = Counter(word for i in inside for word in words[i])
        weight = {
            word: count * float(np.log(count / size * n / everywhere[word]))
            for word, count in here.items()
            if count >= 3 and word not in used
        }
        if weight:
            word = max(weight, key=lambda w: (weight[w], w))
            used.add(word)
            x, y = np.median(picture.positions[inside], axis=0)
            labels.append([round(float(x), 4), round(float(y), 4), word])
    return labels


def _label_words(passage: Passage) -> set[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    text = _CAMEL.sub(" ", f"{' '.join(passage.title.split('.')[-2:])} {passage.summary}").lower()
    return {word for word in _WORD.findall(text) if word not in ENGLISH_STOP_WORDS}


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rsplit(" ", 1)[0] + "…"
