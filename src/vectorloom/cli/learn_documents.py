# SPDX-License-Identifier: Apache-2.0
"""`vectorloom learn documents`: one vector a text."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from vectorloom.cli.learn_topics import texts_of
from vectorloom.cli.output import DebugOption, JobsOption, JsonOption, Output, bullet, job
from vectorloom.readable import format_bytes, format_losses

# The name of a method, its class in `vectorloom.learn`, and what it is set to.
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "dual-encoder": ("DualEncoder", {}),
    "latent-semantic": ("LatentSemantic", {}),
    "dbow": ("ParagraphVectors", {"dm": 0}),
    "dm": ("ParagraphVectors", {"dm": 1}),
    "sent2vec": ("Sent2Vec", {}),
    "sif": ("SIF", {}),
}
# What an option of the command is called by the learners, first name first.
_NAMES = {
    "dim": ("vector_size", "n_components"),
    "epochs": ("epochs",),
    "held_out": ("validation_share",),
    "patience": ("patience",),
    "seed": ("random_state",),
    "jobs": ("n_jobs",),
}
_NEAREST = 5


def documents(
    corpus: Annotated[
        list[Path],
        typer.Argument(
            metavar="CORPUS...",
            help="Files or folders: text (a line each), JSON lines, Parquet; gzip, xz, zstd.",
        ),
    ],
    out_file: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Where to: .vl, the learner (opened by vl.open), or vectors: .npz, .parquet …",
        ),
    ],
    method: Annotated[str, typer.Option(help=f"One of {', '.join(METHODS)}.")] = "dual-encoder",
    dim: Annotated[
        int | None, typer.Option(help="Dimensions of a vector; the method's own by default.", min=1)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the texts; the method's own by default.", min=1)
    ] = None,
    held_out: Annotated[
        float | None,
        typer.Option(help="Share of the texts kept to measure with after each epoch.", min=0.0),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Stop after so many epochs that do not help what is held out.", min=1),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the state of the training there.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from --checkpoint.")] = False,
    search: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Print the texts nearest to TEXT.")
    ] = None,
    field: Annotated[str, typer.Option(help="Field of JSON lines and Parquet.")] = "text",
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Pass over bytes that are not UTF-8.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Same seed, same vectors.", min=0)] = 0,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Learn one vector a text, and write the learner, or the vectors, to a file.

    Each line of a text file, or each text of JSON lines or Parquet, is one text. Ids are their
    numbers, from 0.
    """
    with job(as_json=as_json, debug=debug) as out:
        given = {"dim": dim, "epochs": epochs, "seed": seed, "jobs": jobs}
        stop = {"held_out": held_out, "patience": patience}
        if _takes(METHODS[method][0] if method in METHODS else "", "early_stop"):
            model = _model(method, given)
            options = _options(model, method, checkpoint, resume)
            options["early_stop"] = early_stop(held_out, patience)
        else:
            model = _model(method, given | stop)
            options = _options(model, method, checkpoint, resume)
        texts = texts_of(corpus, field, "skip" if skip_broken else "strict")
        began = time.perf_counter()
        model.fit(texts, **options)
        seconds = time.perf_counter() - began
        _write(model, out_file)
        _answer(out, model, out_file, seconds, _near(model, texts, search or ()))


def early_stop(held_out: float | None, patience: int | None) -> Any:
    """Return what `fit` is to be told about an end before the last epoch, or None."""
    from vectorloom.learn import EarlyStop

    if held_out is None and patience is None:
        return None
    return EarlyStop(patience=patience or 1, validation_share=held_out or 0.0)


def _takes(name: str, option: str) -> bool:
    """Whether `fit` of the learner of this name has an option."""
    import inspect

    from vectorloom import learn

    return bool(name) and option in inspect.signature(getattr(learn, name).fit).parameters


def _model(method: str, given: dict[str, Any]) -> Any:
    import inspect

    from vectorloom import learn

    if method not in METHODS:
        raise typer.BadParameter(f"--method must be one of {', '.join(METHODS)}.")
    name, fixed = METHODS[method]
    kind = getattr(learn, name)
    known = inspect.signature(kind.__init__).parameters
    taken = dict(fixed)
    for option, value in given.items():
        names = [found for found in _NAMES[option] if found in known]
        if names:
            taken |= {} if value is None else {names[0]: value}
        elif value is not None and option not in ("seed", "jobs"):
            raise typer.BadParameter(f"--method {method} takes no --{option.replace('_', '-')}.")
    return kind(**taken)


def _options(model: Any, method: str, checkpoint: Path | None, resume: bool) -> dict[str, Any]:
    import inspect

    if checkpoint is None:
        if resume:
            raise typer.BadParameter("--resume needs --checkpoint FILE.")
        return {}
    if "checkpoint" not in inspect.signature(model.fit).parameters:
        raise typer.BadParameter(f"--method {method} keeps no checkpoints.")
    return {"checkpoint": checkpoint, "resume": resume}


def _write(model: Any, path: Path) -> None:
    if path.suffix == ".vl":
        model.save(path)
    else:
        from vectorloom.io import write

        write(path, model.vectors_, ids=model.ids_)


def _near(
    model: Any, texts: list[str], search: Iterable[str]
) -> dict[str, list[tuple[int, float, str]]]:
    """Return the texts nearest to each question: number, score, text."""
    from vectorloom.index import Exact

    asked = list(search)
    if not asked:
        return {}
    # Lengths tell something where the learner keeps them.
    metric = "ip" if hasattr(model, "length_power") else "cosine"
    hits = Exact(metric=metric).fit(model.vectors_).search(model.transform(asked), k=_NEAREST)
    return {
        question: [
            (int(row), round(float(score), 4), texts[row])
            for row, score in zip(hits.ids[q], hits.scores[q], strict=True)
            if row >= 0
        ]
        for q, question in enumerate(asked)
    }


def _answer(
    out: Output,
    model: Any,
    path: Path,
    seconds: float,
    near: dict[str, list[tuple[int, float, str]]],
) -> None:
    from vectorloom.io.faults import shorten

    losses = list(getattr(model, "losses_", None) or [])
    held_out = list(getattr(model, "held_out_losses_", None) or [])
    n, dim = model.vectors_.shape
    size = path.stat().st_size
    if out.as_json:
        out.document(
            {
                "out": str(path),
                "bytes": size,
                "texts": n,
                "dim": dim,
                "learn_s": round(seconds, 3),
                "losses": losses,
                "held_out_losses": held_out,
                "search": near,
            }
        )
        return
    lines = [
        f"{n:,} texts, {dim} dimensions, learned in {seconds:.1f} s",
        f"{path}: {format_bytes(size)}",
    ]
    for name, values in (("loss", losses), ("held-out loss", held_out)):
        if values:
            lines.append(f"{name} of the epochs: {format_losses(values)}")
    for question, found in near.items():
        lines.append(f"near {question}:")
        lines += [f"  {row:7d}  {score:8.4f}  {shorten(text, 80)}" for row, score, text in found]
    out.show(*(bullet("·", "cyan", line) for line in lines))
