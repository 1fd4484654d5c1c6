# SPDX-License-Identifier: Apache-2.0
"""What the demo found out, as plain data and as tables for a terminal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vectorloom.demo.questions import Quality

if TYPE_CHECKING:
    from rich.console import Group


@dataclass(frozen=True, slots=True)
class Corpus:
    """What was gathered and what was left out."""

    n_passages: int
    n_files: int
    n_duplicates: int
    skipped: dict[str, int]
    packages: dict[str, int]
    is_capped: bool


@dataclass(frozen=True, slots=True)
class Speed:
    """Exact search of one method in one setting; `queries_per_s` is the best of a few runs."""

    method: str
    mode: str
    threads: int
    queries_per_s: float
    n_vectors: int
    dim: int
    k: int


@dataclass(frozen=True, slots=True)
class Answer:
    """One passage that was found for a question."""

    title: str
    package: str
    summary: str
    score: float


@dataclass(frozen=True, slots=True)
class Question:
    """A question with what was found, best first; nothing when no word of it is known."""

    text: str
    answers: list[Answer]


@dataclass(frozen=True, slots=True)
class TunedStep:
    """What measuring and tuning said of the passages' vectors, and what was built."""

    advice: list[str]
    recipe: str
    said: str
    why: list[str]
    page: str
    index: str
    n_questions: int
    found_of_exact: float


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Everything that one run of the demo measured.

    Attributes
    ----------
    report : Path
        The written report.html.
    corpus : Corpus
    questions : list of Question
    quality : list of Quality
        Known-item retrieval, one entry a method.
    n_searched : int
        Passages that the known-item queries search.
    speed : list of Speed
    same_answers : float
        Share of the queries for which exact search and the NumPy yardstick return the same ids.
    machine : dict
        Versions, CPU level, threads.
    seconds : dict of str to float
        Wall time of each step, ``"total"`` last.
    tuned : TunedStep
        The pipeline that was chosen by measurement and built.
    """

    report: Path
    corpus: Corpus
    questions: list[Question]
    quality: list[Quality]
    n_searched: int
    speed: list[Speed]
    same_answers: float
    machine: dict[str, Any]
    seconds: dict[str, float]
    tuned: TunedStep

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that JSON can hold."""
        return asdict(self) | {"report": str(self.report)}

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=100, no_color=True, force_terminal=False)
        with console.capture() as captured:
            console.print(self)
        return captured.get()

    def __rich__(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        head = Text.from_markup(
            f"[bold]{self.corpus.n_passages:,}[/] passages of Python documentation from "
            f"{counted(len(self.corpus.packages), 'package')}, learned, indexed and measured in "
            f"[bold]{self.seconds['total']:.0f} s[/]\n"
        )
        report = Text(f"\nReport: {self.report}", overflow="fold")
        return Group(head, _answers(self), _quality(self), _speed(self), _tuned(self.tuned), report)


def counted(n: int, noun: str) -> str:
    """Return ``"1 package"`` or ``"2 packages"``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _table() -> Any:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, pad_edge=False)


def _section(title: str, table: Any, caption: str = "") -> Any:
    """Put lines above and below a table: as its own title they would wrap at its width."""
    from rich.console import Group
    from rich.text import Text

    return Group(Text(f"\n{title}", style="bold"), table, Text(caption, style="dim"))


def _answers(result: DemoResult) -> Any:
    from rich.text import Text

    table = _table()
    table.add_column("score", justify="right")
    table.add_column("found", overflow="fold")
    table.add_column("what it says", overflow="fold")
    for number, question in enumerate(result.questions):
        if number:
            table.add_section()
        table.add_row("", Text(question.text, style="bold cyan"), "")
        for answer in question.answers:
            table.add_row(f"{answer.score:.2f}", Text(answer.title), Text(answer.summary[:120]))
        if not question.answers:
            table.add_row("", "nothing: no word of it occurs in the passages", "")
    return _section("Questions", table)


def _tuned(tuned: TunedStep) -> Any:
    from rich.console import Group
    from rich.text import Text

    lines = [f"· {text}" for text in [*tuned.advice, *tuned.why]]
    return Group(
        Text("\nMeasured, tuned, built and searched", style="bold"),
        Text(f"  {tuned.recipe}", style="bold cyan"),
        Text(f"  {tuned.said}"),
        *(Text(f"  {line}") for line in lines),
        Text(f"  The picture: {tuned.page}   The index: {tuned.index}", style="dim"),
    )


def _quality(result: DemoResult) -> Any:
    n = result.quality[0].n_queries if result.quality else 0
    table = _table()
    table.add_column("method")
    for name in ("MRR@10", "nDCG@10", "found in 10"):
        table.add_column(name, justify="right")
    for q in result.quality:
        half = [(high - low) / 2 for low, high in (q.mrr_interval, q.ndcg_interval)]
        table.add_row(
            q.method,
            f"{q.mrr_at_10:.3f} ± {half[0]:.3f}",
            f"{q.ndcg_at_10:.3f} ± {half[1]:.3f}",
            f"{100 * q.found_at_10:.0f} %",
        )
    return _section(
        f"Quality: find the rest of a docstring from its first sentence ({n:,} queries, "
        f"{result.n_searched:,} passages)",
        table,
        "± is half the 95 % bootstrap interval over the queries. Names are cut from both sides.",
    )


def _speed(result: DemoResult) -> Any:
    first = result.speed[0]
    table = _table()
    table.add_column("method")
    table.add_column("queries given")
    table.add_column("threads", justify="right")
    table.add_column("queries/s", justify="right")
    for row in result.speed:
        table.add_row(row.method, row.mode, str(row.threads), f"{row.queries_per_s:,.0f}")
    return _section(
        f"Exact search: {first.n_vectors:,} vectors × {first.dim}, float32, k = {first.k}",
        table,
        f"Same ids as the NumPy scan for {100 * result.same_answers:.2f} % of the queries. "
        f"CPU level: {result.machine['simd_level']}.",
    )
