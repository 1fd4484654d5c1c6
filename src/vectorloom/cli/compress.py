# SPDX-License-Identifier: Apache-2.0
"""`vectorloom compress`: vectors to codes that carry their calibration, or the report card."""

from __future__ import annotations

from collections.abc import Callable
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
    from vectorloom.compress.report_card import Report
    from vectorloom.io import Vectors

# What is encoded at a time, to tell how far a long job is.
ROWS_A_BLOCK = 16_384


def compress(
    source: Annotated[Path, typer.Argument(metavar="PATH", help="Any readable vector file.")],
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe",
            help='How, such as "pca:192 | float8". With --report it may be given several times; '
            "leaving it out tries those that fill the budgets.",
            show_default=False,
        ),
    ] = None,
    out_file: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write codes, ids and calibration to FILE."),
    ] = None,
    report_file: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write the report card to FILE, as HTML."),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(help="Vectors of real queries; without, some rows are held out as such."),
    ] = None,
    qrels: Annotated[
        Path | None,
        typer.Option(
            help="Judgments for nDCG: a TSV of query, row and grade, by the ids of the files."
        ),
    ] = None,
    budgets: Annotated[
        str | None,
        typer.Option("--bytes", help="Budgets in bytes per vector, such as 48,96."),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Neighbours that should be found.", min=1)] = 10,
    metric: Annotated[str, typer.Option(help="cosine, ip or l2.")] = "cosine",
    sample: Annotated[
        int, typer.Option(help="Rows that the report is measured on; 0 takes all.", min=0)
    ] = 20_000,
    vectors: VectorsOption = None,
    ids: IdsOption = None,
    query_vectors: QueryVectorsOption = None,
    query_ids: QueryIdsOption = None,
    seed: SeedOption = 0,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make vectors smaller, or report what each way to do so would cost.

    With --recipe and --out: encode; codes and calibration are one file.

    Otherwise: measure at equal bytes per vector; --report writes a page.
    """
    with job(as_json=as_json, debug=debug) as out:
        if out_file is not None and (report_file is not None or not recipe):
            raise typer.BadParameter("--out takes one --recipe, and not --report beside it.")
        if out_file is not None and len(recipe or ()) > 1:
            raise typer.BadParameter("--out takes one --recipe.")
        wanted = _budgets(budgets)
        found = loaded(source, vectors, ids)
        asked = None if queries is None else loaded(queries, query_vectors, query_ids)
        if out_file is not None and recipe:
            _encode(out, source, found, asked, recipe[0], out_file, jobs)
            return
        card = _report(
            found,
            asked,
            qrels,
            methods=recipe or None,
            bytes=wanted,
            k=k,
            metric=metric,
            sample=sample or None,
            random_state=seed,
            n_jobs=jobs,
        )
        _show(out, card, report_file)


def _budgets(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"--bytes is {text!r}; give whole numbers with commas between, such as 48,96."
        ) from None


def _encode(
    out: Output,
    source: Path,
    found: Vectors,
    asked: Vectors | None,
    recipe: str,
    target: Path,
    jobs: int | None,
) -> None:
    import numpy as np

    from vectorloom.compress import CodedVectors, Codes, from_text
    from vectorloom.compress.report_measuring import set_jobs
    from vectorloom.errors import ParameterError
    from vectorloom.vectors import as_dense

    compressor = from_text(recipe)
    if compressor.output != "codes":
        raise ParameterError(
            f"{recipe!r} gives {compressor.output} vectors and no codes; end it with one, such as "
            f"'{recipe} | float16'."
        )
    set_jobs(compressor, jobs)
    rows = as_dense(found.values, name=source.name)
    with progress(f"fitting {recipe}"):
        compressor.fit(rows, queries=None if asked is None else asked.values)
    parts = []
    with progress("encoding", total=len(rows), unit="rows") as bar:
        for start in range(0, len(rows), ROWS_A_BLOCK):
            parts.append(compressor.transform(rows[start : start + ROWS_A_BLOCK]))
            bar.advance(len(parts[-1]))
    codes = parts[0] if len(parts) == 1 else Codes.concatenate(parts)
    found_ids = None if found.ids is None else np.asarray(found.ids)
    CodedVectors(compressor, codes, found_ids).save(target)
    size, before = int(compressor.bytes_per_vector_), 4 * rows.shape[1]
    if out.as_json:
        out.document(
            {
                "source": str(source),
                "target": str(target),
                "recipe": recipe,
                "rows": len(rows),
                "dim": rows.shape[1],
                "bytes_per_vector": size,
                "smaller": before / size,
                "bytes": target.stat().st_size,
                "fingerprint": compressor.fingerprint_,
            }
        )
        return
    out.show(
        f"{target}: {len(rows):,} vectors of {rows.shape[1]:,} dimensions, {size} bytes each "
        f"({before / size:.1f}× smaller than float32); file {format_bytes(target.stat().st_size)}, "
        "calibration included"
    )


def _report(found: Vectors, asked: Vectors | None, qrels: Path | None, **settings: Any) -> Report:
    import vectorloom as vl

    if qrels is not None:
        judged = read_qrels(qrels)
        row_ids, query_ids = found.ids, None if asked is None else asked.ids
        settings |= {"ids": row_ids, "query_ids": query_ids}
        as_row, as_query = _key(row_ids), _key(query_ids)
        settings["qrels"] = {
            as_query(query): {as_row(row): grade for row, grade in grades.items()}
            for query, grades in judged.items()
        }
    card: Report = vl.compress.report(
        found.values, None if asked is None else asked.values, **settings
    )
    return card


def _key(ids: Any) -> Callable[[str], Any]:
    """Make a key of the kind that the ids are: numbers, also where positions stand for them."""
    if ids is not None and ids.dtype.kind not in "iu":
        return str
    return lambda text: int(text) if text.lstrip("-").isdigit() else text


def read_qrels(path: Path) -> dict[str, dict[str, float]]:
    """Read judgments: tab- or space-separated query, row and grade, as BEIR and TREC write them.

    Parameters
    ----------
    path : Path
        A TREC file has a fourth column, the second, which is ignored. A first line whose grade is
        no number is a header.

    Returns
    -------
    dict of str to dict of str to float

    Raises
    ------
    FormatError : a line has other than three or four columns, or a grade that is no number.
    """
    from vectorloom.errors import FormatError

    lines: list[tuple[str, str, float]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        cells = line.split("\t") if "\t" in line else line.split()
        if not line.strip():
            continue
        try:
            if len(cells) not in (3, 4):
                raise ValueError
            lines.append((cells[0].strip(), cells[-2].strip(), float(cells[-1])))
        except ValueError:
            if number == 1:
                continue
            raise FormatError(
                f"{path}, line {number}: expected query, row and grade; got {line[:60]!r}."
            ) from None
    found: dict[str, dict[str, float]] = {}
    for query, row, grade in lines:
        found.setdefault(query, {})[row] = grade
    return found


def _show(out: Output, card: Report, report_file: Path | None) -> None:
    if report_file is not None:
        card.save(report_file)
    if out.as_json:
        out.document(card.to_dict())
        return
    from vectorloom.compress.report_page import columns

    shown = columns(card)
    names = [head for head, _ in shown]
    table = quiet_table("method", *names, right=tuple(names))
    for row in card.rows:
        table.add_row(row.name, *(cell(row) for _, cell in shown))
    out.show(
        table,
        "",
        *(bullet("!", "yellow", text) for text in card.warnings),
        *(bullet("·", "cyan", text) for text in card.advice),
        *(bullet("✗", "red", f"{name}: {reason}") for name, reason in card.failed),
    )
    if report_file is not None:
        note(f"the report card is in {report_file}")
