# SPDX-License-Identifier: Apache-2.0
"""Python documentation that is on every machine, cut into passages.

Sources are read as text with `ast`; nothing is imported or run, so a broken or unwanted package
can do no harm and costs one skipped file, which is counted.
"""

from __future__ import annotations

import ast
import re
import sysconfig
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vectorloom.errors import ParameterError
from vectorloom.progress import progress

#: Folders that hold no documentation a reader would look for, or copies of other packages.
SKIPPED_FOLDERS = frozenset(
    "__pycache__ _vendor _vendored dist-packages externals idle_test node_modules "
    "site-packages test testing tests vendored".split()
)
#: Tools whose docstrings are notes to their own developers.
SKIPPED_PACKAGES = frozenset(
    "_distutils_hack distutils ensurepip idlelib lib2to3 pip pkg_resources setuptools "
    "turtledemo".split()
)
#: Read right after the standard library, so that they are in the corpus whatever else is installed.
FIRST_PACKAGES = ("numpy", "scipy", "sklearn", "pyarrow", "rich", "typer")
STDLIB = "python"
TOPICS = "python topics"

_MAX_FILE_BYTES = 2_000_000  # larger sources are generated tables, not documentation
_MIN_DOC_CHARS = 60  # shorter docstrings say no more than the name does
_MAX_DOC_CHARS = 6_000
_TOPIC_CHARS = 1_200

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`'\"(\[])")
_SIGNATURE = re.compile(r"\A[\w.]+\(.*?\)(\s*->.*)?\s*\Z", re.DOTALL)
_UNDERLINE = re.compile(r"\n[*=~^-]{3,}[ \t]*(?:\n|\Z)")  # of a heading
_PRIVATE = re.compile(r"\._[A-Z]|\._(?!_)\w*\Z")  # a private class, or a private last name
_PRIVATE_MODULE = re.compile(r"_[a-z][a-z0-9_]*(?<!__)\Z")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Passage:
    """One docstring, or one piece of a topic of the language reference.

    Attributes
    ----------
    id : str
        Unique in a corpus, the same on every run over the same files.
    title : str
        Dotted name of the documented object, or the topic.
    package : str
        Top-level package, ``"python"`` for the standard library.
    kind : str
        ``"module"``, ``"class"``, ``"function"`` or ``"topic"``.
    summary : str
        First sentence, on one line.
    body : str
        The rest of the text.
    """

    id: str
    title: str
    package: str
    kind: str
    summary: str
    body: str

    @property
    def text(self) -> str:
        """Title, summary and body: what is indexed for answering questions."""
        return f"{self.title}\n{self.summary}\n{self.body}"


@dataclass(frozen=True, slots=True)
class Root:
    """A folder of Python sources; ``package=None`` names packages after its sub-folders."""

    path: Path
    package: str | None = None


@dataclass(frozen=True, slots=True)
class Gathered:
    """Passages with the account of what was read and what was left out."""

    passages: tuple[Passage, ...]
    files_read: int
    skipped: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    is_capped: bool = False

    @property
    def packages(self) -> dict[str, int]:
        """Passages of each top-level package, most first."""
        counts: dict[str, int] = {}
        for passage in self.passages:
            counts[passage.package] = counts.get(passage.package, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def default_roots() -> list[Root]:
    """Return the standard library's folder and the site-packages of this interpreter."""
    roots = [Root(Path(sysconfig.get_path("stdlib")), STDLIB)]
    for key in ("purelib", "platlib"):
        root = Root(Path(sysconfig.get_path(key)))
        if root.path.is_dir() and root not in roots:
            roots.append(root)
    return roots


def gather(
    roots: Iterable[Root] | None = None,
    *,
    max_passages: int = 20_000,
    quiet: bool | None = None,
) -> Gathered:
    """Read passages from Python sources, in a fixed order, until there are enough.

    Parameters
    ----------
    roots : iterable of Root, optional
        Folders to read; the standard library and site-packages when omitted.
    max_passages : int, default=20_000
        Reading stops at this many. The order is fixed (standard library, numpy, scipy, sklearn,
        pyarrow, rich, typer, then by name), so the same files give the same passages.
    quiet : bool, optional
        Hide the progress bar; by default it shows on a terminal only.

    Raises
    ------
    ParameterError
        ``max_passages`` is below 1, or a root is no folder.
    """
    if max_passages < 1:
        raise ParameterError(
            f"max_passages must be at least 1; got {max_passages}. Pass 20_000 for the default."
        )
    files = list(_files(default_roots() if roots is None else list(roots)))
    passages: list[Passage] = []
    skipped: dict[str, int] = {}
    seen_texts: set[tuple[str, str]] = set()
    seen_ids: dict[str, int] = {}
    read = duplicates = 0
    with progress("reading sources", total=len(files), unit="files", quiet=quiet) as bar:
        for path, module, package in files:
            bar.advance()
            found = read_passages(path, module, package)
            if isinstance(found, str):
                skipped[found] = skipped.get(found, 0) + 1
                continue
            read += 1
            for passage in found:
                text = (passage.summary, passage.body)
                if text in seen_texts:
                    duplicates += 1
                else:
                    seen_texts.add(text)
                    passages.append(_with_unique_id(passage, seen_ids))
            if len(passages) >= max_passages:
                break
    is_capped = len(passages) > max_passages or read + sum(skipped.values()) < len(files)
    return Gathered(tuple(passages[:max_passages]), read, skipped, duplicates, is_capped)


def read_passages(path: Path, module: str, package: str) -> list[Passage] | str:
    """Return the passages of one source file, or in a few words why it was skipped."""
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            return "larger than 2 MB"
        source = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return "not UTF-8"
    except OSError:
        return "unreadable"
    if '"""' not in source and "'''" not in source and not _is_topics(module):
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's sources
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "syntax error"
    if _is_topics(module):
        return list(_topic_passages(tree))
    found = list(_docstrings(tree, module, package))
    found.extend(_added_docs(tree, module, package))
    return found


def split_summary(doc: str) -> tuple[str, str]:
    """Split a cleaned docstring into its first sentence (one line) and the rest.

    A leading call signature, as C extensions write it, belongs to neither.
    """
    doc = _UNDERLINE.sub("\n\n", f"\n{doc.strip()}")
    paragraphs = re.split(r"\n\s*\n", doc.strip(), maxsplit=1)
    if len(paragraphs) == 2 and _SIGNATURE.match(paragraphs[0]):
        paragraphs = re.split(r"\n\s*\n", paragraphs[1].strip(), maxsplit=1)
    first = _SPACES.sub(" ", paragraphs[0]).strip()
    sentences = _SENTENCE_END.split(first, maxsplit=1)
    rest = "\n\n".join([*sentences[1:], *paragraphs[1:]]).strip()
    return sentences[0], rest


def _files(roots: list[Root]) -> Iterator[tuple[Path, str, str]]:
    """Yield (file, dotted module, package) in the fixed order."""
    for root in roots:
        if not root.path.is_dir():
            raise ParameterError(
                f"roots must be folders of Python sources; {root.path} is none. Check the path."
            )
        order = []
        for path in root.path.rglob("*.py"):
            parts = path.relative_to(root.path).parts
            is_wanted = SKIPPED_FOLDERS.isdisjoint(parts) and parts[0] not in SKIPPED_PACKAGES
            if is_wanted and not parts[-1].startswith(("test_", "conftest")):
                order.append((root.package or parts[0].removesuffix(".py"), parts, path))
        first = {name: rank for rank, name in enumerate(FIRST_PACKAGES)}
        order.sort(key=lambda item: (first.get(item[0], len(first)), item[0], item[1]))
        for package, parts, path in order:
            names = [*parts[:-1], parts[-1].removesuffix(".py")]
            if names[-1] == "__init__":
                names.pop()
            yield path, ".".join(names) or package, package


def _docstrings(tree: ast.Module, module: str, package: str) -> Iterator[Passage]:
    """Yield the docstrings of a module, outermost first, in the order of the file."""
    stack: list[tuple[ast.AST, str]] = [(tree, module)]
    while stack:
        node, name = stack.pop()
        children: list[tuple[ast.AST, str]] = []
        # What is defined inside a function cannot be reached by its readers.
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for child in () if is_function else ast.iter_child_nodes(node):
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                children.append((child, f"{name}.{child.name}"))
            elif isinstance(child, (ast.If, ast.Try, ast.With)):
                children.append((child, name))
        stack.extend(reversed(children))
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            doc = ast.get_docstring(node, clean=True)
            if doc is not None:
                yield from _passage(doc, name, package, _KINDS[type(node)])


_KINDS: dict[type[ast.AST], str] = {
    ast.Module: "module",
    ast.ClassDef: "class",
    ast.FunctionDef: "function",
    ast.AsyncFunctionDef: "function",
}


def _added_docs(tree: ast.Module, module: str, package: str) -> Iterator[Passage]:
    """Yield docstrings that numpy and scipy attach to compiled functions by ``add_newdoc``."""
    for node in tree.body:
        call = node.value if isinstance(node, ast.Expr) else None
        if not (isinstance(call, ast.Call) and getattr(call.func, "id", "") == "add_newdoc"):
            continue
        words = [a.value for a in call.args if isinstance(a, ast.Constant)]
        names = [word for word in words if isinstance(word, str)]
        last: Any = call.args[-1] if call.args else None
        pairs = last.elts if isinstance(last, ast.List) else [last]
        for pair in pairs:
            if isinstance(pair, ast.Tuple):
                inner = [str(e.value) for e in pair.elts if isinstance(e, ast.Constant)]
                if len(inner) == 2:
                    yield from _added([*names, inner[0]], inner[1], module, package)
            elif len(names) > 1:
                yield from _added(names[:-1], names[-1], module, package)


def _added(names: list[str], doc: str, module: str, package: str) -> Iterator[Passage]:
    title = ".".join(names)
    if not title.startswith(package + "."):
        title = f"{module.rsplit('.', 1)[0]}.{title}"
    yield from _passage(textwrap.dedent(doc).strip(), title, package, "function")


def _passage(doc: str, title: str, package: str, kind: str) -> Iterator[Passage]:
    if len(doc) < _MIN_DOC_CHARS:
        return
    if _PRIVATE.search(title):
        return  # documentation is what its authors wrote for others to read
    summary, body = split_summary(doc[:_MAX_DOC_CHARS])
    yield Passage(title, _public(title), package, kind, summary, body)


def _public(name: str) -> str:
    """Drop private modules from a dotted name: ``numpy.lib._impl.pad`` is ``numpy.lib.pad``."""
    return ".".join(part for part in name.split(".") if not _PRIVATE_MODULE.match(part))


def _is_topics(module: str) -> bool:
    return module == "pydoc_data.topics"


def _topic_passages(tree: ast.Module) -> Iterator[Passage]:
    """Yield the language reference's topics, cut at paragraphs into pieces of about one screen."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Dict):
            continue
        for key, value in zip(node.keys, node.values, strict=True):
            try:
                name, text = ast.literal_eval(key) if key else None, ast.literal_eval(value)
            except ValueError:
                continue
            if isinstance(name, str) and isinstance(text, str):
                text = _UNDERLINE.sub(".\n\n", text)
                for number, piece in enumerate(_pieces(text), start=1):
                    summary, body = split_summary(piece)
                    yield Passage(
                        f"topics/{name}/{number}", f"topic {name}", TOPICS, "topic", summary, body
                    )


def _pieces(text: str) -> Iterator[str]:
    piece = ""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if piece and len(piece) + len(paragraph) > _TOPIC_CHARS:
            yield piece
            piece = ""
        piece = f"{piece}\n\n{paragraph}".strip("\n")
    if len(piece) >= _MIN_DOC_CHARS:
        yield piece


def _with_unique_id(passage: Passage, seen: dict[str, int]) -> Passage:
    """Make the ids of passages that share a name (overloads, branches of an if) unique."""
    count = seen[passage.id] = seen.get(passage.id, 0) + 1
    if count == 1:
        return passage
    return Passage(
        f"{passage.id}#{count}",
        passage.title,
        passage.package,
        passage.kind,
        passage.summary,
        passage.body,
    )
