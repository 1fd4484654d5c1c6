# SPDX-License-Identifier: Apache-2.0
"""`vectorloom tune`: which pipeline reaches a goal on these vectors, and the index, built."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    loaded,
    note,
    quiet_table,
)
from vectorloom.progress import progress
from vectorloom.readable import format_bytes

if TYPE_CHECKING:
    from vectorloom.io import Vectors
    from vectorloom.tune.plan import Plan

#: A terminal shows so many rows of the table; --json and the page have all.
SHOWN_ROWS = 12


def tune(
    source: Annotated[Path, typer.Argument(metavar="PATH", help="Any readable vector file.")],
    queries: Annotated[
        Path | None,
        typer.Option(help="Vectors of real queries; without, some rows are held out as such."),
    ] = None,
    qrels: Annotated[
        Path | None,
        typer.Option(help="Judgments (TSV or TREC), by the ids of the files; for --ndcg-loss."),
    ] = None,
    recall: Annotated[
        float | None,
        typer.Option(help="Share of the true neighbours to find; 0.95 where nothing is asked."),
    ] = None,
    ndcg_loss: Annotated[
        float | None, typer.Option(help="Share of the nDCG of exact search that may be lost.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="What the index may hold, such as 1GiB.")
    ] = None,
    p95: Annotated[
        str | None, typer.Option(help="Within what 95 of 100 queries are answered, such as 5ms.")
    ] = None,
    minimise: Annotated[
        str | None, typer.Option(help="time, memory or build, of what reaches the goals.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Neighbours that should be found.", min=1)] = 10,
    metric: Annotated[str, typer.Option(help="cosine, ip or l2.")] = "cosine",
    batch: Annotated[int, typer.Option(help="Queries a call.", min=1)] = 1,
    recipe: Annotated[
        list[str] | None,
        typer.Option("--recipe", help="Try this recipe, and no others but those given so."),
    ] = None,
    finalists: Annotated[int, typer.Option(help="Indexes built on all rows.", min=1)] = 3,
    time_limit: Annotated[
        str | None, typer.Option(help="For the measuring, such as 10min.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of measurements: a stopped tuning goes on there.")
    ] = None,
    report_file: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write the page, as HTML.")
    ] = None,
    build_file: Annotated[
        Path | None,
        typer.Option("--build", metavar="FILE", help="Build the chosen index into FILE."),
    ] = None,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Keep what was found in FILE.")
    ] = None,
    vectors: VectorsOption = None,
    ids: IdsOption = None,
    query_vectors: QueryVectorsOption = None,
    query_ids: QueryIdsOption = None,
    seed: SeedOption = 0,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Find by measurement what reaches a goal: the recipe, a picture, and the index.

    Without --report and --build it only says which recipe, and why.
    """
    with job(as_json=as_json, debug=debug) as out:
        found = loaded(source, vectors, ids)
        asked = None if queries is None else loaded(queries, query_vectors, query_ids)
        plan = _plan(
            found,
            asked,
            qrels,
            report_file,
            recall=recall,
            ndcg_loss=ndcg_loss,
            k=k,
            memory=memory,
            p95=p95,
            metric=metric,
            minimise=minimise,
            batch=batch,
            recipes=recipe,
            n_finalists=finalists,
            time_limit=time_limit,
            cache=cache,
            n_jobs=jobs,
            random_state=seed,
        )
        if report_file is not None:
            plan.report(report_file)
        if plan_file is not None:
            plan.save(plan_file)
        if build_file is not None:
            _build(plan, found, asked, build_file, jobs)
        _show(out, plan, (report_file, plan_file, build_file))


def _plan(
    found: Vectors,
    asked: Vectors | None,
    qrels: Path | None,
    report_file: Path | None,
    **settings: Any,
) -> Plan:
    from vectorloom.tune.goals import UnmetGoalsError
    from vectorloom.tune.search import tune as find

    if qrels is not None:
        settings |= _judged(qrels, found, asked)
    queries = None if asked is None else asked.values
    try:
        return find(found.values, queries, **settings)
    except UnmetGoalsError as error:
        if report_file is not None and error.plan is not None:
            error.plan.report(report_file)
            note(f"what was measured is in {report_file}")
        raise


def _judged(qrels: Path, found: Vectors, asked: Vectors | None) -> dict[str, Any]:
    from vectorloom.measure.trec_files import read_qrels

    row_ids, query_ids = found.ids, None if asked is None else asked.ids
    row_key, query_key = _key(row_ids), _key(query_ids)
    judged = {
        query_key(query): {row_key(row): grade for row, grade in grades.items()}
        for query, grades in read_qrels(qrels).items()
    }
    return {"qrels": judged, "ids": row_ids, "query_ids": query_ids}


def _key(ids: Any) -> Any:
    """Return what makes a key of the kind that the ids are: numbers, also for positions."""
    if ids is not None and ids.dtype.kind not in "iu":
        return str
    return lambda text: int(text) if str(text).lstrip("-").isdigit() else text


def _build(
    plan: Plan, found: Vectors, asked: Vectors | None, target: Path, jobs: int | None
) -> None:
    with progress(f"building {plan.recipe}"):
        index = plan.build(
            found.values,
            found.ids,
            queries=None if asked is None else asked.values,
            n_jobs=jobs,
        )
        index.save(target)


def _show(out: Output, plan: Plan, written: tuple[Path | None, ...]) -> None:
    if out.as_json:
        out.document(plan.to_dict() | {"table": plan.table()})
        return
    from vectorloom.tune.goals import format_time
    from vectorloom.tune.plan import said

    rows = plan.table()
    name = f"recall@{plan.goals.k}" if plan.goals.quality == "recall" else "nDCG kept"
    heads = (name, "95 % interval", "bytes", "a call", "p95", "build")
    table = quiet_table("recipe", *heads, "", right=heads)
    for row in rows[:SHOWN_ROWS]:
        mark = "chosen" if row["chosen"] else "predicted" if row["predicted"] else ""
        table.add_row(
            row["recipe"],
            f"{row['quality']:.4f}",
            f"{row['low']:.4f} to {row['high']:.4f}",
            format_bytes(row["bytes"]),
            format_time(row["seconds"]),
            format_time(row["p95"]),
            format_time(row["build_s"]),
            mark,
        )
    out.show(
        f"{plan.recipe}",
        f"  {said(plan.point, plan.goals)}",
        "",
        *(bullet("·", "cyan", line) for line in plan.why.splitlines()),
        *(bullet("!", "yellow", text) for text in plan.warnings),
        "",
        table,
    )
    if len(rows) > SHOWN_ROWS:
        note(f"{len(rows) - SHOWN_ROWS} more rows: --report or --json has them")
    for path in written:
        if path is not None:
            note(f"written: {path}")
