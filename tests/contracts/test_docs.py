# SPDX-License-Identifier: Apache-2.0
"""What the papers say is true: snippets run, links lead somewhere, public names are documented."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import check_readme
import vectorloom as vl

ROOT = Path(__file__).resolve().parents[2]
PAPERS = [
    ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")
]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
# A block that cannot run here says why: <!-- not run: needs a model on disk -->
BLOCK = re.compile(r"(<!-- not run: [^>]+ -->\s*)?^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def runnable_blocks(path: Path) -> list[str]:
    """Return the Python blocks of a page that are meant to run, in order."""
    return [code for unrun, code in BLOCK.findall(path.read_text("utf-8")) if not unrun]


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_readme_first_screen_is_complete() -> None:
    assert check_readme.violations((ROOT / "README.md").read_text("utf-8")) == []


def test_readme_snippet_runs_as_written_and_prints_something(tmp_path: Path) -> None:
    _, code = check_readme.snippet((ROOT / "README.md").read_text("utf-8"))
    done = run_python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the bank raised interest rates" in done.stdout


@pytest.mark.parametrize(
    "page",
    [path for path in PAGES if runnable_blocks(path)],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_python_of_a_page_runs_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    done = run_python("\n".join(runnable_blocks(page)), tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "page", [*PAPERS, *PAGES], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_links_to_files_of_ours_lead_to_a_file(page: Path) -> None:
    targets = LINK.findall(FENCE.sub("", page.read_text("utf-8")))
    ours = [
        t.split("#")[0] for t in targets if "://" not in t and not t.startswith(("#", "mailto:"))
    ]
    assert [target for target in ours if not (page.parent / target).exists()] == []


def test_every_page_is_reached_from_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    listed = set(re.findall(r"[\w/-]+\.md", text.split("nav:")[1]))
    assert listed == {path.relative_to(ROOT / "docs").as_posix() for path in PAGES}


def test_one_version_is_told_everywhere() -> None:
    said = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert said is not None
    assert cited is not None
    assert said.group(1) == cited.group(1) == vl.__version__


def public_objects() -> Iterator[tuple[str, Any]]:
    """Yield (name, object) for the public classes and functions, and the classes' own methods."""
    rooms: list[tuple[str, ModuleType]] = [("vl", vl)]
    rooms += [(f"vl.{n}", v) for n in dir(vl) if isinstance(v := getattr(vl, n), ModuleType)]
    seen: set[int] = set()
    for room, module in rooms:
        for name in getattr(module, "__all__", dir(module)):
            thing = getattr(module, name)
            ours = getattr(thing, "__module__", "").startswith("vectorloom.")
            if name.startswith("_") or not ours or not callable(thing) or id(thing) in seen:
                continue
            seen.add(id(thing))
            yield f"{room}.{name}", thing
            if inspect.isclass(thing):
                for key, method in vars(thing).items():
                    if not key.startswith("_") and inspect.isfunction(method):
                        yield f"{room}.{name}.{key}", method


PUBLIC = dict(public_objects())


def documented_parameters(doc: str) -> set[str]:
    """Return the names in the Parameters and Attributes sections of a numpydoc text."""
    names: set[str] = set()
    for section in re.finditer(
        r"^(?:Parameters|Attributes)\n-{3,}\n(.*?)(?=^\w[^\n]*\n-{3,}\n|\Z)", doc, re.M | re.S
    ):
        for line in re.findall(r"^(\*{0,2}\w[\w, *]*?)(?: ?:|$)", section.group(1), re.MULTILINE):
            names |= {name.strip().lstrip("*") for name in line.split(",")}
    return names


def test_the_public_names_are_found() -> None:
    assert {"vl.index.Exact", "vl.index.Exact.search", "vl.knn_graph", "vl.read"} <= set(PUBLIC)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_has_a_docstring(name: str) -> None:
    doc = inspect.getdoc(PUBLIC[name]) or ""
    assert len(doc.split()) >= 3, f"{name} has no docstring"


# An error's argument is its message.
CLASSES = [n for n, o in PUBLIC.items() if inspect.isclass(o) and not issubclass(o, BaseException)]


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_class_documents_each_argument(name: str) -> None:
    check_arguments(name)


@pytest.mark.parametrize(
    "name", sorted(n for n, o in PUBLIC.items() if not inspect.isclass(o) and n.count(".") < 3)
)
def test_a_function_documents_each_argument(name: str) -> None:
    check_arguments(name)


def check_arguments(name: str) -> None:
    thing = PUBLIC[name]
    wanted = {p for p in inspect.signature(thing).parameters if p not in ("self", "cls")}
    papers = [inspect.getdoc(thing) or ""]
    if inspect.isclass(thing) and "__new__" in vars(thing):
        papers.append(inspect.getdoc(thing.__new__) or "")
    documented = set().union(*map(documented_parameters, papers))
    missing = {p for p in wanted if not p.startswith("_")} - documented
    assert not missing, f"{name} does not document {sorted(missing)}"
