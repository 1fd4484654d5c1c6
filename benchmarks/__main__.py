# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks run SUITE`, `… list` and `… page`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.ann import report as ann_report
from benchmarks.ann.run import run_ann, shares_builds
from benchmarks.page import write_page
from benchmarks.report import save, to_markdown
from benchmarks.runner import Result, run_suite
from benchmarks.suite import Suite, known_suites, read_suite
from vectorloom.errors import VectorloomError

HERE = Path(__file__).parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: every floor held; 1: some row is an error; 2: wrong use."""
    options = _parser().parse_args(arguments)
    try:
        return {"list": _list, "page": _page, "run": _run}[options.command](options)
    except VectorloomError as error:
        _say(f"{type(error).__name__}: {error}")
        return 2
    except KeyboardInterrupt:
        _say("stopped; nothing was saved")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="suites and their methods")
    run = commands.add_parser("run", help="run suites")
    page = commands.add_parser("page", help="copy the saved results into docs/benchmarks.md")
    page.add_argument("--results", type=Path, default=HERE / "results")
    page.add_argument("--page", type=Path, default=HERE.parent / "docs" / "benchmarks.md")
    run.add_argument("suite", nargs="+", help="TOML file, such as suites/index/exact.toml")
    run.add_argument("--only", nargs="+", metavar="NAME", help="methods to run; * is allowed")
    run.add_argument("--data", help="another data set, whole: minilm-scifact, sentences, ...")
    run.add_argument("--rows", type=int, help="at most so many rows, for a try; the name lies then")
    run.add_argument("--rounds", type=int, help="timed rounds, in place of the suite's")
    run.add_argument("--smoke", action="store_true", help="tiny generated data, one round")
    run.add_argument("--out", type=Path, help="folder for the JSON and the table")
    return parser


def _list(options: argparse.Namespace) -> int:
    del options
    for path in known_suites():
        suite = read_suite(path)
        _print(f"{path}: {suite.title}")
        _print(f"  {', '.join(method.name for method in suite.methods)}")
    return 0


def _page(options: argparse.Namespace) -> int:
    found = write_page(options.page, options.results)
    _say(f"{options.page}: {found} results")
    return 0


def _run(options: argparse.Namespace) -> int:
    suites = [one for path in options.suite for one in _asked(path, options).on_each_set()]
    is_ok = True
    for result in _results(suites):
        is_ann = result.suite.task == "ann"
        _print(ann_report.to_markdown(result) if is_ann else to_markdown(result))
        if options.out:
            for path in (ann_report.save if is_ann else save)(result, options.out):
                _say(f"wrote {path}")
        is_ok &= result.ok
    return 0 if is_ok else 1


def _results(suites: list[Suite]) -> Iterator[Result]:
    """One result a suite; what can share its indexes with an earlier suite runs along with it."""
    while suites:
        first = suites[0]
        if first.task != "ann":
            yield run_suite(suites.pop(0), _say)
            continue
        along = [suite for suite in suites if shares_builds(first, suite)]
        suites = [suite for suite in suites if not shares_builds(first, suite)]
        yield from run_ann(along, _say)


def _asked(path: str, options: argparse.Namespace) -> Suite:
    """The suite with the changes of the command line."""
    suite = read_suite(path)
    if options.data:
        suite = _on(suite, options.data)
    if options.rows:
        data = dataclasses.replace(suite.data, rows=options.rows)
        also = [dataclasses.replace(other, rows=options.rows) for other in suite.also]
        suite = dataclasses.replace(suite, data=data, also=also)
    if options.rounds:
        repeat = dataclasses.replace(suite.repeat, rounds=options.rounds)
        suite = dataclasses.replace(suite, repeat=repeat)
    if options.smoke:
        suite = suite.smoked()
    return suite.only(options.only) if options.only else suite


def _on(suite: Suite, name: str) -> Suite:
    """The suite on one data set: as the suite states it, or whole where it does not name it."""
    for one in suite.on_each_set():
        if one.data.set == name and suite.also:
            return one
    data = dataclasses.replace(suite.data, set=name, rows=0, queries=0)
    return dataclasses.replace(suite, data=data, also=())


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
