# SPDX-License-Identifier: Apache-2.0
"""`vectorloom index`: an index of texts, of sparse, ragged or dense vectors, or of several."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from vectorloom.cli.items import Items, read_items
from vectorloom.cli.output import DebugOption, JobsOption, JsonOption, job
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.progress import progress

METHODS = ("lucene", "robertson", "atire", "bm25l", "bm25+", "okapi", "tfidf")

#: What an index is made of, by its name.
FORM_OF = {
    "bm25": "texts",
    "inverted": "sparse",
    "multivector": "tokens",
    "exact": "dense",
    "graph": "dense",
    "ivf": "dense",
}
_KIND_OF = {"texts": "bm25", "sparse": "inverted", "tokens": "multivector", "dense": "exact"}


def index(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Texts (lines or JSON lines, - for standard input), sparse vectors (.npz of scipy "
            'or JSON lines of {"id", "vector": {term: weight}}), token vectors (.npz of values and '
            "offsets) or dense vectors. Several, each NAME=FILE, make one hybrid index; FILE may "
            "be a saved index then.",
        ),
    ],
    out_file: Annotated[Path, typer.Argument(metavar="OUT", help="The index to write.")],
    kind: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(FORM_OF)}. Left out, SOURCE decides: bm25 of texts, inverted of "
            "sparse vectors, multivector of token vectors, exact of dense ones.",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="cosine, ip or l2, of dense and token vectors; else cosine.", show_default=False
        ),
    ] = None,
    method: Annotated[str, typer.Option(help=f"Of bm25: {', '.join(METHODS)}.")] = "lucene",
    k1: Annotated[
        float, typer.Option(help="Of bm25: how soon more of a word counts little.", min=0.0)
    ] = 1.2,
    b: Annotated[
        float, typer.Option(help="Of bm25: how much length counts.", min=0.0, max=1.0)
    ] = 0.75,
    stop_words: Annotated[
        str | None,
        typer.Option(help="Of bm25: english leaves out 33 words.", show_default=False),
    ] = None,
    stemmer: Annotated[
        str | None,
        typer.Option(help="Of bm25: light takes off English endings.", show_default=False),
    ] = None,
    encoding: Annotated[
        str, typer.Option(help="Of multivector: muvera, windows, or none (always exact).")
    ] = "muvera",
    fusion: Annotated[str, typer.Option(help="Of a hybrid: rrf or weighted.")] = "rrf",
    vectors: Annotated[
        str | None, typer.Option(help="Column or key of SOURCE that holds dense vectors.")
    ] = None,
    ids: Annotated[
        str | None, typer.Option(help="Column or key of SOURCE that holds their ids.")
    ] = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make an index for `vectorloom search OUT QUERIES`.

    A JSON line of text is {"id" or "_id": ..., "text": ...}, with a "title" put before the text if
    there is one. Items without ids get their number, from 0.
    """
    with job(as_json=as_json, debug=debug) as out:
        options: dict[str, dict[str, Any]] = {
            "bm25": {
                "method": method, "k1": k1, "b": b, "stop_words": stop_words, "stemmer": stemmer,
            },
            "inverted": {},
            "multivector": {
                "metric": metric or "cosine",
                "encoding": None if encoding == "none" else encoding,
            },
        }  # fmt: skip
        options |= {name: {"metric": metric or "cosine"} for name in ("exact", "graph", "ivf")}
        options = {name: given | {"n_jobs": jobs} for name, given in options.items()}
        began = time.perf_counter()
        if len(sources) == 1:
            form = None if kind is None else _form_of(kind)
            items = read_items(sources[0], form, vectors=vectors, ids=ids)
            chosen = kind or _KIND_OF[items.form]
            made, n = _built(chosen, items, items.ids, options), len(items)
        else:
            if kind is not None or vectors is not None or ids is not None:
                raise ParameterError(
                    "--kind, --vectors and --ids are for one source; index such a source by "
                    "itself and give the saved index as NAME=FILE."
                )
            made, n, chosen = _hybrid(sources, fusion, options), None, "hybrid"
        made.save(out_file)
        seconds = time.perf_counter() - began
        if as_json:
            answer = {"out": str(out_file), "index": chosen, "items": n}
            out.document(answer | {"seconds": round(seconds, 3)})
        else:
            what = ", ".join(made.legs) if n is None else f"{n:,} items"
            typer.echo(f"{out_file}: {chosen} of {what} in {seconds:.1f} s")


def _form_of(kind: str) -> str:
    if kind not in FORM_OF:
        raise ParameterError(f"--kind must be one of {', '.join(FORM_OF)}; got {kind!r}.")
    return FORM_OF[kind]


def _built(kind: str, items: Items, ids: Any, options: dict[str, dict[str, Any]]) -> Any:
    import vectorloom as vl

    names = {
        "bm25": "BM25", "inverted": "Inverted", "multivector": "MultiVector",
        "exact": "Exact", "graph": "Graph", "ivf": "IVF",
    }  # fmt: skip
    empty = getattr(vl.index, names[kind])(**options[kind])
    with progress(f"indexing {len(items):,} items"):
        return empty.fit(items.values, ids=ids)


def _hybrid(sources: list[str], fusion: str, options: dict[str, dict[str, Any]]) -> Any:
    import vectorloom as vl
    from vectorloom.io.container import is_container

    legs: dict[str, Any] = {}
    read: dict[str, Items] = {}
    for name, file in named(sources).items():
        if file != "-" and Path(file).is_file() and is_container(file):
            legs[name] = vl.open(file)
            if not hasattr(legs[name], "search"):
                raise ParameterError(f"{file} holds no index; give one, or what to make one of.")
        else:
            legs[name] = None
            read[name] = read_items(file)
    shared = next((items.ids for items in read.values() if items.ids is not None), None)
    for name, items in read.items():
        ids = items.ids
        if ids is None and shared is not None:  # vectors often come without the ids of the texts
            if len(shared) != len(items):
                raise ShapeError(
                    f"{name} has {len(items):,} items without ids, and the others have "
                    f"{len(shared):,}; give it ids."
                )
            ids = shared
        legs[name] = _built(_KIND_OF[items.form], items, ids, options)
    return vl.index.Hybrid(legs, fusion=fusion)


def named(sources: list[str]) -> dict[str, str]:
    """Return the files of ``NAME=FILE`` by name.

    Raises
    ------
    ParameterError
        One is no such pair, or a name comes twice.
    """
    pairs = [source.partition("=") for source in sources]
    names = [name for name, _, _ in pairs]
    if any(not name or not file for name, _, file in pairs) or len(set(names)) < len(names):
        raise ParameterError(
            f"several files must be given as NAME=FILE, each name once; got {' '.join(sources)}."
        )
    return {name: file for name, _, file in pairs}
