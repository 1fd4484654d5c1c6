# SPDX-License-Identifier: Apache-2.0
"""House rules that no linter knows, looked for in the text of every file we keep.

``python tools/check_sources.py [ROOT]`` prints one line for each breach; exit 1 when there is one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SKIPPED = {
    ".git", ".venv", "build", "dist", "site", "out", "vectorloom-demo", "__pycache__",
    "node_modules", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis",
}  # fmt: skip
TEXT = {
    ".py", ".pyi", ".cc", ".h", ".cmake", ".toml", ".md", ".yml", ".yaml", ".json", ".sh", ".cff",
    ".txt", ".cfg", ".ini", ".html", ".css", ".js", ".ts", "",
}  # fmt: skip
CODE = {".py", ".cc", ".h", ".cmake", ".sh", ".toml", ".yml", ".yaml", "", ".txt"}
SPDX = "SPDX-License-Identifier: Apache-2.0"
MAX_LINES = 600  # the aim is 500; tests, tables of data and generated stubs are let off


@dataclass(frozen=True)
class Rule:
    """A pattern that may not occur, where, and what to do instead."""

    pattern: re.Pattern[str]
    reason: str
    suffixes: set[str] = field(default_factory=lambda: TEXT)
    under: str = ""


# Written in pieces so that this file does not break its own rules.
RULES = (
    Rule(
        re.compile(r"-m(arch|tune|cpu)=" + "native"),
        "a binary built for one CPU crashes on another: name a level in cmake/simd.cmake",
        CODE,
    ),
    Rule(
        re.compile(
            r"(#\s*pragma\s+" + r"omp\b|-f" + r"openmp|find_package\(Open" + "MP|<omp" + ".h>)"
        ),
        "no OpenMP: use vl::parallel_for",
        CODE,
    ),
    Rule(
        re.compile(
            r"^\s*(import|from)\s+(c?pick" + "le|cloudpick" + r"le|dill|shelve|marshal)\b"
            r"|\bjoblib\.(dump|load)\b|\btorch\.load\(|allow_pick" + r"le\s*=\s*True",
            re.MULTILINE,
        ),
        "no pickle: a file must not be able to run code; use vectorloom.io.container",
        {".py"},
        "src/",
    ),
    Rule(
        re.compile(r"(?<![\w.$}/])/(" + "work|root|home/[a-z]|Users/[A-Za-z]" + r")[/\w]"),
        "a path of one machine: use a relative or temporary one",
    ),
    Rule(
        re.compile(
            r"(?i)(index[-_]url|find[-_]links|registry|PIP_INDEX)\w*['\"]?\s*[=: ]\s*['\"]?"
            r"(https?|file):/" + r"/(?!pypi\.org|registry\.npmjs\.org)"
        ),
        "the host of a package registry: leave the choice to the user's own settings",
    ),
    Rule(
        re.compile(r"^[<=>]{7}( |$)", re.MULTILINE),
        "a merge that was not finished",
    ),
)


def kept_files(root: Path) -> Iterator[Path]:
    """Yield the text files of the tree at `root`, without what is built or fetched."""
    for path in sorted(root.iterdir()):
        if path.name in SKIPPED or path.is_symlink() or path.name.endswith(".egg-info"):
            continue
        if path.is_dir():
            yield from kept_files(path)
        elif path.suffix in TEXT:
            yield path


def forbidden_text(name: str, suffix: str, text: str) -> Iterator[str]:
    """Yield a line for each forbidden pattern in one file."""
    for rule in RULES:
        if suffix in rule.suffixes and name.startswith(rule.under):
            for match in rule.pattern.finditer(text):
                line = text.count("\n", 0, match.end() - 1) + 1
                yield f"{name}:{line}: {match.group(0).strip()!r}: {rule.reason}"


def shape(name: str, path: Path, text: str) -> Iterator[str]:
    """Yield a line for each file without licence line, or too long, or named after nothing."""
    lines = text.split("\n")
    ours = path.suffix in {".py", ".cc", ".h", ".cmake", ".sh"} or path.name in (
        "CMakeLists.txt", "Makefile",
    )  # fmt: skip
    if ours and text.strip() and not any(SPDX in line for line in lines[:3]):
        yield f"{name}:1: the licence line is missing: {SPDX}"
    in_code = name.startswith(("src/", "core/", "tools/", "benchmarks/")) and path.suffix != ".pyi"
    if in_code and path.suffix in {".py", ".cc", ".h"} and len(lines) > MAX_LINES:
        yield f"{name}: {len(lines)} lines; split it by notion (limit {MAX_LINES})"
    if in_code and path.stem in {"utils", "util", "common", "misc", "helpers"}:
        yield f"{name}: a name that says nothing; call it after what it holds"


def violations(root: Path) -> list[str]:
    """Return every breach of the house rules in the tree at `root`."""
    found: list[str] = []
    for path in kept_files(root):
        name = path.relative_to(root).as_posix()
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += forbidden_text(name, path.suffix, text)
        found += shape(name, path, text)
    return found


def main() -> int:
    """Print the breaches; 1 when there are any."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    found = violations(root)
    for line in found:
        print(line)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
