# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: the order of the rooms in Python and in C++, read without running anything.

``python tools/layers.py [ROOT]`` prints each import that goes upwards; exit 1 when there is one.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

# Lowest first. A room may import rooms on lower lines and itself, not its neighbours on a line.
PYTHON_LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(line.split())
    for line in (
        "errors readable _core",
        "estimator progress threads",
        "vectors",
        "io",
        "select",
        "learn compress align measure",
        "index",
        "tune explore",
        "store",
        "serve cluster clients",
        "demo",
        "cli",
        "__init__ __main__",
    )
)
CPP_LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(line.split())
    for line in (
        "base",
        "simd",
        "linalg",
        "select",
        "learn compress align measure",
        "index",
        "explore",
        "bindings",
    )
)
PYTHON_HEADER = re.compile(r"^(Python\.h|nanobind/|pybind11/|numpy/)")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def rank_of(room: str, layers: tuple[frozenset[str], ...]) -> int | None:
    """Return the line `room` stands on, or None when the table does not know it."""
    return next((rank for rank, rooms in enumerate(layers) if room in rooms), None)


def imported_rooms(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, room) for each import of vectorloom in `tree`, at any depth of the code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] == "vectorloom":
                    yield node.lineno, parts[1] if len(parts) > 1 else "__init__"
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            parts = node.module.split(".")
            if parts[0] != "vectorloom":
                continue
            if len(parts) > 1:
                yield node.lineno, parts[1]
            else:
                for alias in node.names:
                    known = rank_of(alias.name, PYTHON_LAYERS) is not None
                    yield node.lineno, alias.name if known else "__init__"


def may_use(user: str, used: str, layers: tuple[frozenset[str], ...]) -> bool:
    """Whether room `user` may import room `used`."""
    above, below = rank_of(user, layers), rank_of(used, layers)
    return user == used or (above is not None and below is not None and below < above)


def python_violations(root: Path) -> Iterator[str]:
    """Yield one line for each Python import that goes sideways or upwards."""
    package = root / "src" / "vectorloom"
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        room = relative.parts[0].removesuffix(".py")
        if rank_of(room, PYTHON_LAYERS) is None:
            yield f"{path.relative_to(root)}: room '{room}' has no layer; add it to tools/layers.py"
            continue
        for line, used in imported_rooms(ast.parse(path.read_text("utf-8"))):
            # The command line and the demo are users of the package and see it as users do.
            public = used == "__init__" and room in ("cli", "demo")
            if not public and not may_use(room, used, PYTHON_LAYERS):
                yield f"{path.relative_to(root)}:{line}: '{room}' must not import '{used}'"


def cpp_violations(root: Path) -> Iterator[str]:
    """Yield one line for each C++ include that goes upwards, or reaches Python outside bindings."""
    core = root / "core"
    for path in sorted([*core.rglob("*.h"), *core.rglob("*.cc")]):
        room = path.relative_to(core).parts[0]
        text = path.read_text("utf-8")
        if rank_of(room, CPP_LAYERS) is None:
            where = path.relative_to(root)
            yield f"{where}: folder '{room}' has no layer; add it to tools/layers.py"
            continue
        for match in INCLUDE.finditer(text):
            where = f"{path.relative_to(root)}:{text.count(chr(10), 0, match.start()) + 1}"
            target = match.group(2)
            if PYTHON_HEADER.match(target):
                if room != "bindings":
                    yield f"{where}: <{target}> belongs in core/bindings alone"
            elif match.group(1) == '"':
                if not (core / target).is_file():
                    yield f'{where}: write "{target}" as a path from core/'
                elif not may_use(room, Path(target).parts[0], CPP_LAYERS):
                    yield f"{where}: '{room}' must not include '{target}'"


def violations(root: Path) -> list[str]:
    """Return every import in the tree at `root` that breaks the order of the rooms."""
    return [*python_violations(root), *cpp_violations(root)]


def main() -> int:
    """Print the violations; 1 when there are any."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    found = violations(root)
    for line in found:
        print(line)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
