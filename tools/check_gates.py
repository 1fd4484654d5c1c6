# SPDX-License-Identifier: Apache-2.0
"""Every gate is shown something bad and must reject it; shown the same put right, it must pass.

A gate that cannot fail is worse than none. Each canary below is a pair of inputs; the gate has to
say no to the first *for the reason stated* and yes to the second, so that neither a missing tool
nor a wrong path can pass for a rejection. ``python tools/check_gates.py [NAME…]``.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CXX = os.environ.get("CXX", "c++").split()
PYTHON_HEAD = '# SPDX-License-Identifier: Apache-2.0\n"""A canary."""\n\n'
CXX_HEAD = "// SPDX-License-Identifier: Apache-2.0\n"


@dataclass(frozen=True)
class Canary:
    """A gate, a text it must reject and say why, and a text it must let pass."""

    name: str
    run: Callable[[str, Path], subprocess.CompletedProcess[str]]
    bad: str
    good: str
    says: tuple[str, ...]
    needs: str = ""  # a package of another extra than dev


def command(
    *words: str | Path, stdin: str | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run a command with its output kept, stderr folded into stdout."""
    return subprocess.run(
        [str(word) for word in words], input=stdin, cwd=cwd, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
    )  # fmt: skip


def written(path: Path, text: str) -> Path:
    """Write `text` to `path`, making its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


# ---------------------------------------------------- the gates, as `make check` runs them


def ruff_check(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Lint `text` as if it were a file of the package."""
    del folder
    name = "src/vectorloom/canary.py"
    return command(
        BIN / "ruff", "check", "--output-format=json", "--no-cache",
        "--stdin-filename", name, "-", stdin=text,
    )  # fmt: skip


def ruff_format(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the layout of `text` with the settings of the package."""
    path = written(folder / "canary.py", text)
    return command(
        BIN / "ruff", "format", "--check", "--no-cache", "--config", ROOT / "pyproject.toml", path
    )


def mypy(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Type-check `text` with the settings of the package."""
    path = written(folder / "canary.py", text)
    cache = folder / "cache"
    return command(
        BIN / "mypy",
        "--strict",
        "--config-file",
        ROOT / "pyproject.toml",
        "--cache-dir",
        cache,
        path,
    )


def clang_format(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the layout of `text` as if it were a file of the core."""
    del folder
    name = "--assume-filename=core/base/canary.cc"
    return command(BIN / "clang-format", "--dry-run", "-Werror", name, stdin=text)


def clang_tidy_in_a_header(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Lint a file whose header holds `text`: our headers must be looked at, not only files."""
    written(folder / "core/base/canary.h", text)
    source = written(folder / "core/base/canary.cc", '#include "base/canary.h"\n')
    config = f"--config-file={ROOT / '.clang-tidy'}"
    return command(BIN / "clang-tidy", "--quiet", config, source, "--", "-std=c++20", "-xc++",
                   f"-I{folder / 'core'}")  # fmt: skip


def compiler_warnings(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Compile `text` with the warnings that cmake/warnings.cmake lists, as errors."""
    flags = [
        word
        for word in (ROOT / "cmake/warnings.cmake").read_text("utf-8").replace(")", " ").split()
        if word.startswith("-W")
    ]
    path = written(folder / "canary.cc", text)
    return command(*CXX, "-std=c++20", *flags, "-Werror", "-c", path, "-o", folder / "canary.o")


def layers(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Look for imports that go upwards in a tree with one learner."""
    written(folder / "src/vectorloom/learn/canary.py", text)
    written(folder / "core/base/errors.h", "")
    return command(sys.executable, ROOT / "tools/layers.py", folder)


def core_layers(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Look for includes that go upwards in a tree with two headers."""
    written(folder / "core/simd/cpu.h", "")
    written(folder / "core/base/errors.h", "")
    written(folder / "core/base/canary.h", text)
    return command(sys.executable, ROOT / "tools/layers.py", folder)


def stub(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Compare the compiled module with the golden stub to which `text` is added."""
    golden = (ROOT / "tests/golden/_core.pyi").read_text("utf-8")
    path = written(folder / "_core.pyi", golden + text)
    return command(sys.executable, ROOT / "tools/stub.py", "--golden", path)


def tests(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `text` as a test file, docstring examples included, with our settings and fixtures."""
    written(folder / "conftest.py", (ROOT / "tests/conftest.py").read_text("utf-8"))
    path = written(folder / "test_canary.py", text)
    return command(
        sys.executable, "-m", "pytest", "-q", "-c", ROOT / "pyproject.toml", "--rootdir", folder,
        "-p", "no:cacheprovider", path,
    )  # fmt: skip


def sources(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Look for breaches of the house rules in a tree with one module and one build file."""
    written(folder / "src/vectorloom/canary.py", PYTHON_HEAD + text)
    return command(sys.executable, ROOT / "tools/check_sources.py", folder)


def objects(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Compile `text` into the place of an AVX2 object and look for weak symbols in it."""
    source = written(folder / "kernel.cc", text)
    target = folder / "CMakeFiles/vl_simd_avx2.dir/kernel.cc.o"
    target.parent.mkdir(parents=True, exist_ok=True)
    done = command(*CXX, "-std=c++20", "-O0", "-c", source, "-o", target)
    if done.returncode:
        return done
    return command(sys.executable, ROOT / "tools/check_objects.py", folder)


def readme(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the first screen of a README that begins with `text`."""
    path = written(folder / "README.md", text)
    return command(sys.executable, ROOT / "tools/check_readme.py", path)


def docs_site(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Build a site of one page that holds `text`, with our settings."""
    written(folder / "docs/index.md", text)
    inherited = f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: docs\nnav: [index.md]\n"
    config = written(folder / "mkdocs.yml", inherited)
    return command("sh", ROOT / "tools/build_docs.sh", sys.executable, config, folder / "site")


def _tidy(body: str) -> str:
    return f"{CXX_HEAD}#pragma once\n{body}\n"


def _inline(before: str) -> str:
    body = "{\n  int s = 0;\n  for (int i = 0; i < n; ++i) s += a[i];\n  return s;\n}\n"
    kernel = "int kernel(const int* a) { return sum(a, 8); }\n"
    return f"{before} int sum(const int* a, int n) {body}{kernel}"


def _python(body: str) -> str:
    return PYTHON_HEAD + body


README_TOP = (
    "# vectorloom\n\nOne sentence that says what it is and for whom.\n\n"
    "```\npip install .\n```\n\n```python\nprint(1)\n```\n\n[a](a) [b](b) [c](c)\n"
)

CANARIES = (
    Canary(
        "ruff",
        ruff_check,
        'import os\nfrom .errors import X\n\ndef f(a, b=[]):\n    print(a)\n    return eval("b")\n',
        _python('def double(a: int) -> int:\n    """Return twice `a`."""\n    return 2 * a\n'),
        ("F401", "TID252", "D103", "ANN001", "B006", "T201", "CPY001", "PGH001|S307|B006"),
    ),
    Canary(
        "ruff: complexity",
        ruff_check,
        _python(
            'def f(a: int) -> int:\n    """Return `a`."""\n'
            + "".join(f"    if a == {i}:\n        a += {i}\n" for i in range(12))
            + "    return a\n"
        ),
        _python('def f(a: int) -> int:\n    """Return `a`."""\n    return a\n'),
        ("C901",),
    ),
    Canary(
        "ruff format", ruff_format, "x = {  'a':1 }\n", 'x = {"a": 1}\n', ("would be reformatted",)
    ),
    Canary(
        "mypy",
        mypy,
        _python("def f(a):\n    return a\n\n\nx: int = 'one'\n"),
        _python("def f(a: int) -> int:\n    return a\n\n\nx: int = 1\n"),
        ("no-untyped-def", "assignment"),
    ),
    Canary(
        "clang-format",
        clang_format,
        f"{CXX_HEAD}int  f( int*a ){{return *a;}}\n",
        f"{CXX_HEAD}int f(int* a) {{ return *a; }}\n",
        ("clang-format-violations",),
    ),
    Canary(
        "clang-tidy, in a header",
        clang_tidy_in_a_header,
        _tidy("inline int* nothing() { return 0; }\ninline int BadName() { return 1; }"),
        _tidy("inline int* nothing() { return nullptr; }\ninline int good_name() { return 1; }"),
        ("modernize-use-nullptr", "readability-identifier-naming"),
    ),
    Canary(
        "compiler warnings",
        compiler_warnings,
        f"{CXX_HEAD}float f(double a) {{ int unused; return a; }}\n",
        f"{CXX_HEAD}float f(double a) {{ return static_cast<float>(a); }}\n",
        ("conversion", "unused"),
    ),
    Canary(
        "layers: Python",
        layers,
        "from vectorloom.index import Exact\n",
        "from vectorloom.vectors import as_dense\n",
        ("'learn' must not import 'index'",),
    ),
    Canary(
        "layers: C++",
        core_layers,
        '#include <Python.h>\n#include "simd/cpu.h"\n',
        '#include <cstdint>\n#include "base/errors.h"\n',
        ("bindings alone", "must not include"),
    ),
    Canary("stub", stub, "\ndef gone() -> None: ...\n", "", ("-def gone()",)),
    Canary(
        "docstring example",
        tests,
        '"""Doc.\n\n>>> 1 + 1\n3\n"""\n',
        '"""Doc.\n\n>>> 1 + 1\n2\n"""\n',
        ("Expected", "1 failed"),
    ),
    Canary(
        "tests: a warning is an error",
        tests,
        "import warnings\n\n\ndef test_it():\n    warnings.warn('lost digits', RuntimeWarning)\n",
        "def test_it():\n    pass\n",
        ("RuntimeWarning", "1 failed"),
    ),
    Canary(
        "tests: no unknown marker",
        tests,
        "import pytest\n\n\n@pytest.mark.slwo\ndef test_it():\n    pass\n",
        "import pytest\n\n\n@pytest.mark.slow\ndef test_it():\n    pass\n",
        ("slwo",),
    ),
    Canary(
        "tests: no network",
        tests,
        "import socket\n\n\ndef test_it():\n    socket.create_connection(('192.0.2.1', 80), 0.1)\n",
        "def test_it():\n    pass\n",
        ("tried to reach the network",),
    ),
    Canary(
        "objects: weak symbols",
        objects,
        _inline("inline"),
        _inline("static"),
        ("weak symbol",),
    ),
    Canary(
        "rules: one CPU",
        sources,
        'FLAGS = "-march=' + 'native"\n',
        'FLAGS = "-march=x86-64-v3"\n',
        ("one CPU",),
    ),
    Canary(
        "rules: OpenMP", sources, 'FLAGS = "-f' + 'openmp"\n', 'FLAGS = "-fPIC"\n', ("no OpenMP",)
    ),
    Canary("rules: pickle", sources, "import pick" + "le\n", "import json\n", ("no pickle",)),
    Canary(
        "rules: machine paths",
        sources,
        'DATA = "/ho' + 'me/ada/data"\n',
        'DATA = "data"\n',
        ("one machine",),
    ),
    Canary(
        "rules: registries",
        sources,
        'CONFIG = "index-url = ht' + 'tps://mirror.example.org/simple"\n',
        'CONFIG = "index-url = https://pypi.org/simple"\n',
        ("package registry",),
    ),
    Canary(
        "rules: length",
        sources,
        "x = 1\n" * 700,
        "x = 1\n",
        ("split it by notion",),
    ),
    Canary(
        "README: first screen",
        readme,
        "# vectorloom\n\n" + "A claim.\n\n" * 20 + README_TOP,
        README_TOP,
        ("first 30 lines",),
    ),
    Canary(
        "docs: links, anchors, names",
        docs_site,
        "# Home\n\n[a](nowhere.md) [b](#nothing)\n",
        "# Home\n\n[b](#home)\n",
        ("nowhere.md", "#nothing"),
        needs="mkdocs",
    ),
)


def verdict(canary: Canary) -> str:
    """Return what is wrong with one gate, or an empty text."""
    with tempfile.TemporaryDirectory(prefix="canary-") as name:
        folder = Path(name).resolve()
        bad = canary.run(canary.bad, folder / "bad")
        good = canary.run(canary.good, folder / "good")
    if bad.returncode == 0:
        return f"{canary.name}: let a known-bad input pass"
    unsaid = [word for word in canary.says if not any(w in bad.stdout for w in word.split("|"))]
    if unsaid:
        return f"{canary.name}: failed without naming {unsaid}:\n{bad.stdout}"
    if good.returncode != 0:
        return (
            f"{canary.name}: rejected a good input, so its rejections mean nothing:\n{good.stdout}"
        )
    return ""


def main() -> int:
    """Try each canary whose name starts with one of the arguments (all without arguments)."""
    wanted = tuple(sys.argv[1:]) or ("",)
    named = [canary for canary in CANARIES if canary.name.startswith(wanted)]
    chosen = [c for c in named if not c.needs or importlib.util.find_spec(c.needs)]
    for canary in named:
        if canary not in chosen:
            print(f"  not tried, {canary.needs} is not installed: {canary.name}")
    if not chosen:
        print(f"no canary is called {' '.join(wanted)}")
        return 1
    with ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 8)) as pool:
        troubles = [text for text in pool.map(verdict, chosen) if text]
    for text in troubles:
        print(text)
    print(f"  {len(chosen) - len(troubles)} of {len(chosen)} gates reject their known-bad input")
    return int(bool(troubles))


if __name__ == "__main__":
    sys.exit(main())
