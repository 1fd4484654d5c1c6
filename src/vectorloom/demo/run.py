# SPDX-License-Identifier: Apache-2.0
"""The demo from end to end; each step is one function that other code can call alone."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.demo.layout import flat_layout, sample_positions
from vectorloom.demo.passages import Gathered, Passage, Root, gather
from vectorloom.demo.questions import KnownItems, Quality, fuse, known_items, measure
from vectorloom.demo.report import Picture, write_report
from vectorloom.demo.result import Answer, Corpus, DemoResult, Question, TunedStep
from vectorloom.demo.speed import measure_speed
from vectorloom.errors import ParameterError
from vectorloom.progress import ProgressState, progress

DEFAULT_QUESTIONS = (
    "solve a system of linear equations",
    "split a data set into training and test parts",
    "write a table to a Parquet file",
)
N_QUERIES = 2_000
N_PICTURED = 3_000
_DEPTH = 100  # places of each ranking that the fusion reads
_ANSWERS = 3
_READ_FOR_ANSWERS = 30
_STEPS = (
    "gathering",
    "learning",
    "measuring quality",
    "indexing",
    "timing",
    "tuning",
    "drawing",
    "writing",
)


def run_demo(
    out: Path | str,
    *,
    questions: Sequence[str] | None = None,
    n_jobs: int | None = None,
    random_state: int = 0,
    max_passages: int = 20_000,
    roots: Sequence[Root] | None = None,
    quiet: bool | None = None,
    callback: Callable[[ProgressState], None] | None = None,
) -> DemoResult:
    """Gather Python's documentation, learn, index, answer, measure, tune; write ``report.html``.

    Parameters
    ----------
    out : path-like
        Folder for the report, for ``tune.html`` and ``index.vl``; made if it is missing.
    questions : sequence of str, optional
        What to look up; three examples when omitted.
    n_jobs : int, optional
        Threads; None takes all that the process is allowed.
    random_state : int, default=0
        Draws the queries, the model's projection and the picture.
    max_passages : int, default=20_000
    roots : sequence of Root, optional
        Folders to read instead of the standard library and site-packages.
    quiet : bool, optional
        Hide the progress bar; by default it shows on a terminal only.
    callback : callable, optional
        Called with the `ProgressState` of the steps.

    Returns
    -------
    DemoResult

    Raises
    ------
    ParameterError
        Fewer than 50 passages were found: nothing can be learned from them.
    OSError
        The folder cannot be written; said before any work is done.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(13, "the folder is not writable; pass another one", str(folder))
    threads = _core.resolve_jobs(n_jobs)
    texts = _questions(questions)
    clock = _Clock()
    with progress(
        _STEPS[0], total=len(_STEPS), unit="steps", quiet=quiet, callback=callback
    ) as bar:

        def done(step: int) -> None:
            clock.stop(_STEPS[step])
            bar.update(description=_STEPS[min(step + 1, len(_STEPS) - 1)])
            bar.advance()

        gathered = gather(roots, max_passages=max_passages, quiet=quiet)
        passages = gathered.passages
        if len(passages) < 50:
            raise ParameterError(
                f"found {len(passages)} passages of documentation; at least 50 are needed to learn "
                "from. Install packages that have docstrings, or check the roots."
            )
        done(0)
        items = known_items(passages, n_queries=N_QUERIES, random_state=random_state)
        model = _learn(items, n_jobs=threads, random_state=random_state)
        done(1)
        asked = model.transform(items.queries)
        quality = _quality(items, model.vectors_, asked, threads, random_state)
        done(2)
        vectors, kept = _passage_vectors(model, passages)
        answered = _answer(texts, model, vectors, kept, threads)
        done(3)
        speed, same = measure_speed(vectors, asked[asked.any(axis=1)], threads=threads)
        done(4)
        tuned = _tuned(texts, model, vectors, asked, kept, folder, threads, random_state, quiet)
        done(5)
        shown = sample_positions(len(kept), N_PICTURED, random_state=random_state)
        flat = flat_layout(vectors[shown], random_state=random_state)
        picture = Picture(flat, [kept[i] for i in shown])
        done(6)
        result = DemoResult(
            report=folder / "report.html",
            corpus=_corpus(gathered),
            questions=answered,
            quality=quality,
            n_searched=len(items.corpus),
            speed=speed,
            same_answers=same,
            machine=_machine(threads),
            seconds=clock.seconds(),
            tuned=tuned,
        )
        write_report(result, picture)
        done(7)
    return result


class _Clock:
    """Wall time of the steps."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._steps: dict[str, float] = {}

    def stop(self, step: str) -> None:
        now = time.perf_counter()
        self._steps[step], self._last = now - self._last, now

    def seconds(self) -> dict[str, float]:
        return {**self._steps, "total": time.perf_counter() - self._start}


def _questions(questions: Sequence[str] | None) -> list[str]:
    if questions is None:
        return list(DEFAULT_QUESTIONS)
    if isinstance(questions, str) or not all(isinstance(text, str) for text in questions):
        raise ParameterError(
            f"questions must be a list of str; got {questions!r}. Put each question in a list."
        )
    return list(questions)


def _learn(items: KnownItems, *, n_jobs: int, random_state: int) -> Any:
    """Learn from the rests alone, so that the model has seen no query."""
    from vectorloom.learn import DualEncoder

    return DualEncoder(n_jobs=n_jobs, random_state=random_state).fit(items.corpus)


def _quality(
    items: KnownItems,
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    n_jobs: int,
    random_state: int,
) -> list[Quality]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    from vectorloom.index import BM25
    from vectorloom.learn.terms import Terms

    if not len(items.targets):
        return []
    words = BM25(analyzer=Terms(stop_words=ENGLISH_STOP_WORDS), n_jobs=n_jobs).fit(items.corpus)
    by_words = words.search(items.queries, k=_DEPTH).ids
    by_vectors = search_known(vectors, queries, k=_DEPTH, n_jobs=n_jobs)
    rankings = {
        "BM25 (words)": by_words,
        "DualEncoder (vectors)": by_vectors,
        "both (rank fusion)": fuse(by_words, by_vectors),
    }
    return [
        measure(method, found, items.targets, random_state=random_state)
        for method, found in rankings.items()
    ]


def search_known(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], *, k: int, n_jobs: int | None
) -> NDArray[np.int64]:
    """Positions (n_queries, k) by exact search; -1 where a vector is zero on either side.

    By inner products, which is what the encoder was trained for: length says how much is known. A
    zero vector means that none of the words is known, so it can neither find nor be found.
    """
    from vectorloom.index import Exact

    known, asked = vectors.any(axis=1), queries.any(axis=1)
    found = np.full((len(queries), k), -1, dtype=np.int64)
    if known.any() and asked.any():
        index = Exact(metric="ip", n_jobs=n_jobs)
        index.fit(vectors[known], ids=np.flatnonzero(known))
        found[asked] = index.search(queries[asked], k=k).ids
    return found


def _passage_vectors(
    model: Any, passages: Sequence[Passage]
) -> tuple[NDArray[np.float32], list[Passage]]:
    """Vectors for answering: half the heading (title, first sentence), half the whole passage."""
    heading = model.transform([f"{p.title}\n{p.summary}" for p in passages])
    vectors = heading + model.transform([p.text for p in passages])
    known = vectors.any(axis=1)
    vectors = vectors[known]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, [p for p, keep in zip(passages, known, strict=True) if keep]


def _answer(
    texts: Sequence[str],
    model: Any,
    vectors: NDArray[np.float32],
    kept: Sequence[Passage],
    n_jobs: int,
) -> list[Question]:
    from vectorloom.index import Exact

    if not texts:
        return []
    by_id = {p.id: p for p in kept}
    index = Exact(metric="cosine", n_jobs=n_jobs).fit(vectors, ids=[p.id for p in kept])
    answered = []
    for text, vector in zip(texts, model.transform(texts), strict=True):
        answers: dict[str, Answer] = {}  # by first sentence: variants of one text are listed once
        if vector.any():
            hits = index.search(vector[None, :], k=_READ_FOR_ANSWERS)[0]
            for key, score in zip(*hits, strict=True):
                found = by_id[key]
                answers.setdefault(
                    found.summary, Answer(found.title, found.package, found.summary, float(score))
                )
        answered.append(Question(text, list(answers.values())[:_ANSWERS]))
    return answered


def _tuned(
    texts: Sequence[str],
    model: Any,
    vectors: NDArray[np.float32],
    asked: NDArray[np.float32],
    kept: Sequence[Passage],
    folder: Path,
    n_jobs: int,
    random_state: int,
    quiet: bool | None,
) -> TunedStep:
    from vectorloom.demo.tuning import tune_step

    questions = model.transform(texts) if texts else np.empty((0, vectors.shape[1]), np.float32)
    return tune_step(
        vectors,
        asked[asked.any(axis=1)],
        questions[questions.any(axis=1)],
        [p.id for p in kept],
        folder,
        n_jobs=n_jobs,
        random_state=random_state,
        quiet=quiet,
    )


def _corpus(gathered: Gathered) -> Corpus:
    return Corpus(
        n_passages=len(gathered.passages),
        n_files=gathered.files_read,
        n_duplicates=gathered.duplicates,
        skipped=dict(gathered.skipped),
        packages=gathered.packages,
        is_capped=gathered.is_capped,
    )


def _machine(threads: int) -> dict[str, Any]:
    packages = ("vectorloom", "numpy", "scipy", "scikit-learn")
    return {
        "cpu": _cpu_name(),
        "simd_level": _core.simd_level(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except ImportError:  # run from a source tree that is not installed
        return "not installed"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
