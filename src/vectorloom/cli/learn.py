# SPDX-License-Identifier: Apache-2.0
"""`vectorloom learn`: vectors from a corpus of one's own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vectorloom.cli.learn_documents import documents, early_stop
from vectorloom.cli.learn_topics import topics
from vectorloom.cli.output import DebugOption, JobsOption, JsonOption, Output, bullet, job
from vectorloom.readable import format_bytes, format_losses

if TYPE_CHECKING:
    from vectorloom.learn.corpus import EncodedCorpus
    from vectorloom.learn.words.learner import WordLearner

# The name of a method, its class in `vectorloom.learn`, and what it is set to.
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "skipgram": ("Word2Vec", {"sg": 1}),
    "cbow": ("Word2Vec", {"sg": 0}),
    "fasttext": ("FastText", {}),
    "glove": ("GloVe", {}),
    "swivel": ("Swivel", {}),
    "pmi-svd": ("PMISVD", {}),
    "bit-cipher": ("BitCipher", {}),
}

app = typer.Typer(
    no_args_is_help=True, help="Learn vectors of words or of texts, or topics, from a corpus."
)
app.command()(documents)
app.command()(topics)


@app.command()
def words(
    corpus: Annotated[
        list[Path],
        typer.Argument(
            metavar="CORPUS...",
            help="Files or folders: text, JSON lines, Parquet; gzip, bzip2, xz, zstd.",
        ),
    ],
    out_file: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Where to: .vl (opened by vl.open), .vec, .w2v, .glove, .parquet, .npz …",
        ),
    ],
    method: Annotated[str, typer.Option(help=f"One of {', '.join(METHODS)}.")] = "skipgram",
    dim: Annotated[int, typer.Option(help="Dimensions of a vector.", min=1)] = 100,
    window: Annotated[int, typer.Option(help="Words to each side.", min=1)] = 5,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the corpus; the method's own by default.", min=1)
    ] = None,
    min_count: Annotated[int, typer.Option(help="Rarer words are left out.", min=1)] = 5,
    field: Annotated[str, typer.Option(help="Field of JSON lines and Parquet.")] = "text",
    tokenizer: Annotated[
        str, typer.Option(help="words: letters and digits; blanks: what blanks separate.")
    ] = "words",
    keep_case: Annotated[bool, typer.Option("--keep-case", help="No lower case.")] = False,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Pass over bytes that are not UTF-8.")
    ] = False,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the state of the training there.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from --checkpoint.")] = False,
    held_out: Annotated[
        float | None,
        typer.Option(help="Share of the text kept to measure with after each epoch.", min=0.0),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="Stop after so many epochs that do not lower the (held-out) loss.", min=1
        ),
    ] = None,
    onto: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Train this learner (.vl) further, with its own settings."
        ),
    ] = None,
    similar: Annotated[
        list[str] | None, typer.Option(metavar="WORD", help="Print the words nearest to WORD.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Same seed, same numbers; without, threads run free.", min=0),
    ] = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Learn one vector a word from text, and write them to a file.

    A line of a text file, or one text of JSON lines or Parquet, is a sentence.
    """
    with job(as_json=as_json, debug=debug) as out:
        from vectorloom.learn import Corpus

        if method not in METHODS:
            raise typer.BadParameter(f"--method must be one of {', '.join(METHODS)}.")
        found = Corpus(
            corpus,
            field=field,
            tokenizer=tokenizer,
            lowercase=not keep_case,
            errors="skip" if skip_broken else "strict",
        )
        given = {"vector_size": dim, "window": window, "min_count": min_count, "n_jobs": jobs}
        if epochs is not None:
            given["epochs"] = epochs
        model = _learner(method, given, seed) if onto is None else _known(onto, jobs)
        began = time.perf_counter()
        encoded = found.encode(min_count=min_count if onto is None else 1)
        read = time.perf_counter() - began
        options: dict[str, Any] = {} if onto is None or epochs is None else {"epochs": epochs}
        options |= {"checkpoint": checkpoint, "resume": resume}
        options["early_stop"] = early_stop(held_out, patience)
        _fit(model, encoded, options, onto is not None)
        _write(model, out_file)
        _answer(out, model, out_file, (read, time.perf_counter() - began - read), similar)


def _learner(method: str, given: dict[str, Any], seed: int | None) -> WordLearner:
    from vectorloom import learn

    name, fixed = METHODS[method]
    kind: type[WordLearner] = getattr(learn, name)
    known = kind._parameters()
    unknown = [key for key in given if key not in known]
    if unknown:
        raise typer.BadParameter(f"--method {method} takes no --{unknown[0].replace('_', '-')}.")
    if "random_state" in known:
        # Where the default is a number, the same bits cost nothing.
        given["random_state"] = known["random_state"] if seed is None else seed
    return kind(**fixed, **given)


def _known(path: Path, jobs: int | None) -> Any:
    from vectorloom.io.container import open_any

    model = open_any(path)
    if not hasattr(model, "partial_fit"):
        raise typer.BadParameter(f"--onto: {type(model).__name__} cannot be trained further.")
    return model.set_params(n_jobs=jobs)


def _fit(model: Any, encoded: EncodedCorpus, options: dict[str, Any], further: bool) -> None:
    if not hasattr(model, "negative"):
        if any(value not in (None, False) for value in options.values()):
            raise typer.BadParameter(
                "checkpoints and early stop are for skipgram, cbow and fasttext."
            )
        model.fit(encoded)
        return
    if options["resume"] and options["checkpoint"] is None:
        raise typer.BadParameter("--resume needs --checkpoint FILE.")
    (model.partial_fit if further else model.fit)(encoded, **options)


def _write(model: WordLearner, path: Path) -> None:
    if path.suffix == ".vl":
        model.save(path)
    else:
        model.write(path)


def _answer(
    out: Output,
    model: WordLearner,
    path: Path,
    seconds: tuple[float, float],
    similar: list[str] | None,
) -> None:
    losses = getattr(model, "losses_", None)
    held_out = list(getattr(model, "held_out_losses_", None) or [])
    near = {
        word: [[other, round(score, 4)] for other, score in model.most_similar(word)]
        for word in similar or ()
    }
    size = path.stat().st_size
    data = {
        "out": str(path),
        "bytes": size,
        "words": len(model),
        "dim": int(model.vectors_.shape[1]),
        "tokens": model.n_tokens_,
        "read_s": round(seconds[0], 3),
        "learn_s": round(seconds[1], 3),
        "losses": losses,
        "held_out_losses": held_out,
        "similar": near,
    }
    if out.as_json:
        out.document(data)
        return
    lines = [
        f"{len(model):,} words, {data['dim']} dimensions, from {model.n_tokens_:,} tokens",
        f"{path}: {format_bytes(size)}",
        f"read in {seconds[0]:.1f} s, learned in {seconds[1]:.1f} s",
    ]
    if losses:
        lines.append(f"loss of the epochs: {format_losses(losses)}")
    if held_out:
        lines.append(f"held-out loss: {format_losses(held_out)}")
    for word, found in near.items():
        lines.append(f"near {word}: " + ", ".join(str(other) for other, _ in found))
    out.show(*(bullet("·", "cyan", line) for line in lines))
