# SPDX-License-Identifier: Apache-2.0
"""`vectorloom measure`: what is the matter with vectors, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vectorloom.cli.output import (
    DebugOption,
    IdsOption,
    JobsOption,
    JsonOption,
    Output,
    QueryIdsOption,
    QueryVectorsOption,
    SeedOption,
    VectorsOption,
    bullet,
    job,
    note,
    quiet_table,
)

if TYPE_CHECKING:
    from vectorloom.io import Vectors
    from vectorloom.measure.card import Report

_MARKS = {"repair": ("!", "red"), "consider": ("·", "yellow"), "fine": ("✓", "green")}


def measure(
    source: Annotated[Path, typer.Argument(metavar="PATH", help="Any readable vector file.")],
    queries: Annotated[
        Path | None, typer.Option(help="Vectors of real queries: are they where the rows are?")
    ] = None,
    qrels: Annotated[
        Path | None,
        typer.Option(help="Judgments of the queries, TREC or BEIR: do reductions of hubs help?"),
    ] = None,
    before: Annotated[
        Path | None, typer.Option(help="An earlier batch: have the vectors drifted since?")
    ] = None,
    report_file: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write a page of HTML to FILE.")
    ] = None,
    metric: Annotated[str, typer.Option(help="cosine or l2.")] = "cosine",
    sample: Annotated[
        int, typer.Option(help="Rows drawn for directions and hubs; 0 takes all.", min=0)
    ] = 20_000,
    exact: Annotated[
        bool, typer.Option("--exact", help="Measure at all rows; the time is their square.")
    ] = False,
    vectors: VectorsOption = None,
    ids: IdsOption = None,
    query_vectors: QueryVectorsOption = None,
    query_ids: QueryIdsOption = None,
    seed: SeedOption = 0,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Say what is the matter with vectors, and what to do about it.

    Copies and near-copies, outliers, dead dimensions, directions, hubs and what helps against
    them, intrinsic dimension, how few dimensions would do; with --queries whether they are unlike
    the rows, with --qrels which reduction helps, with --before whether the vectors have drifted.
    """
    with job(as_json=as_json, debug=debug) as out:
        import vectorloom as vl

        rows = _read(source, vectors, ids)
        asked = None if queries is None else _read(queries, query_vectors, query_ids)
        found: Report = vl.measure.report(
            rows.values,
            None if asked is None else asked.values,
            qrels=None if qrels is None else vl.measure.read_qrels(qrels),
            ids=rows.ids,
            query_ids=None if asked is None else asked.ids,
            before=None if before is None else _read(before, vectors, None).values,
            metric=metric,
            sample=sample or None,
            exact=exact,
            random_state=seed,
            n_jobs=jobs,
        )
        if report_file is not None:
            found.save(report_file)
        if out.as_json:
            out.document({"source": str(source), **found.to_dict()})
            return
        _show(out, source, found)
        if report_file is not None:
            note(f"the report is in {report_file}")


def _read(path: Path, vectors: str | None, ids: str | None) -> Vectors:
    import vectorloom as vl

    # Mapped where the format allows it: most of what is measured is of a sample.
    return vl.read(path, vectors=vectors, ids=ids, mmap=True)


def _show(out: Output, source: Path, found: Report) -> None:
    from vectorloom.measure.card_page import figures
    from vectorloom.readable import format_seconds

    table = quiet_table("measure", "value", "95 % interval", "of", right=("value",))
    for name, value, interval, of in figures(found):
        table.add_row(name, value, interval, of)
    told = [f for f in found.findings if f.level != "fine"]
    lines = [bullet(*_MARKS[f.level], str(f)) for f in told]
    if not told:
        lines = [bullet(*_MARKS["fine"], found.advice[0])]
    out.show(
        f"{source}: {found.n_rows:,} vectors of {found.dim:,} dimensions, metric {found.metric}, "
        f"{format_seconds(found.seconds)}",
        "",
        table,
        "",
        *lines,
    )
