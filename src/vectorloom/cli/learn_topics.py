# SPDX-License-Identifier: Apache-2.0
"""`vectorloom learn topics`: what texts are about."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from vectorloom.cli.output import DebugOption, JobsOption, JsonOption, Output, bullet, job
from vectorloom.readable import format_bytes

# The name of a method and its class in `vectorloom.learn`.
METHODS = {"top2vec": "Top2Vec", "lda2vec": "Lda2Vec", "doc-nade": "DocNADE"}


def topics(
    corpus: Annotated[
        list[Path],
        typer.Argument(
            metavar="CORPUS...",
            help="Files or folders: text (a line each), JSON lines, Parquet; gzip, xz, zstd.",
        ),
    ],
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Where to: .vl (opened by vl.open) or .json (topics, tree, topic of each text).",
        ),
    ] = None,
    method: Annotated[str, typer.Option(help=f"One of {', '.join(METHODS)}.")] = "top2vec",
    n_topics: Annotated[
        int | None,
        typer.Option("--topics", help="How many; top2vec finds that itself: at most.", min=1),
    ] = None,
    min_size: Annotated[
        int | None, typer.Option(help="Texts that make a topic (top2vec).", min=2)
    ] = None,
    outliers: Annotated[
        str, typer.Option(help="Texts between topics: assign or keep (top2vec).")
    ] = "assign",
    n_words: Annotated[int, typer.Option("--words", help="Words shown a topic.", min=1)] = 10,
    search: Annotated[
        list[str] | None, typer.Option(metavar="WORD", help="Print the topics nearest to WORD.")
    ] = None,
    field: Annotated[str, typer.Option(help="Field of JSON lines and Parquet.")] = "text",
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Pass over bytes that are not UTF-8.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Same seed, same topics.", min=0)] = 0,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Find the topics of texts: how many, what they are about, which text has which.

    Each line of a text file, or each text of JSON lines or Parquet, is one text. Ids are their
    numbers, from 0.
    """
    with job(as_json=as_json, debug=debug) as out:
        if out_file is not None and out_file.suffix not in (".vl", ".json"):
            raise typer.BadParameter("--out must end in .vl or .json.")
        given: dict[str, Any] = {"outliers": outliers, "n_topics": n_topics}
        if min_size is not None:
            given["min_topic_size"] = min_size
        model = _model(method, given, seed, jobs)
        texts = texts_of(corpus, field, "skip" if skip_broken else "strict")
        began = time.perf_counter()
        model.fit(texts)
        seconds = time.perf_counter() - began
        if out_file is not None:
            model.save(out_file) if out_file.suffix == ".vl" else model.to_json(out_file, n_words)
        _answer(out, model, out_file, seconds, search or (), n_words)


def _model(method: str, given: dict[str, Any], seed: int, jobs: int | None) -> Any:
    from vectorloom import learn

    if method not in METHODS:
        raise typer.BadParameter(f"--method must be one of {', '.join(METHODS)}.")
    kind = getattr(learn, METHODS[method])
    known = kind._parameters()
    if given["outliers"] != "assign" and "outliers" not in known:
        raise typer.BadParameter(f"--method {method} leaves no text out.")
    if "min_topic_size" in given and "min_topic_size" not in known:
        raise typer.BadParameter(f"--method {method} takes no --min-size.")
    if given["n_topics"] is None:
        del given["n_topics"]
    given |= {"random_state": seed, "n_jobs": jobs}
    return kind(**{name: value for name, value in given.items() if name in known})


def texts_of(paths: Iterable[Path], field: str, errors: str) -> list[str]:
    """Return the texts of files and folders: lines, or records of JSON lines and Parquet.

    Parameters
    ----------
    paths : iterable of Path
    field : str
    errors : {"strict", "skip"}
        Bytes that are not UTF-8: refused with their place, or replaced.

    Returns
    -------
    list of str
        Empty lines are left out.
    """
    from vectorloom.learn.corpus_files import file_pieces, files_of

    found = []
    for path in paths:
        for file in files_of(path):
            for piece in file_pieces(file, field, whole_lines=True):
                piece.check(errors)
                text = piece.text
                if isinstance(text, bytes):
                    text = text.decode("utf-8", "replace")
                if text.strip():
                    found.append(text)
    return found


def _answer(
    out: Output,
    model: Any,
    path: Path | None,
    seconds: float,
    search: Iterable[str],
    n_words: int,
) -> None:
    near = {
        word: [[topic, round(score, 4)] for topic, score in model.search_topics(word)]
        for word in search
    }
    records = model.topics(n_words)
    without = int((model.labels_ < 0).sum())
    if out.as_json:
        size = None if path is None else path.stat().st_size
        out.document(
            {
                "out": None if path is None else str(path),
                "bytes": size,
                "texts": len(model.labels_),
                "without_topic": without,
                "learn_s": round(seconds, 3),
                "topics": records,
                "search": near,
            }
        )
        return
    texts, n = len(model.labels_), len(records)
    lines = [f"{n} topic{'s' * (n != 1)} of {texts:,} texts, found in {seconds:.1f} s"]
    if without:
        lines.append(f"{without:,} texts have none")
    lines += [f"{r['topic']:3d}  {r['size']:7,}  {' '.join(r['words'])}" for r in records]
    for word, found in near.items():
        lines.append(f"near {word}: " + ", ".join(f"{topic} ({score})" for topic, score in found))
    if path is not None:
        lines.append(f"{path}: {format_bytes(path.stat().st_size)}")
    out.show(*(bullet("·", "cyan", line) for line in lines))
