# SPDX-License-Identifier: Apache-2.0
"""The rooms import downwards only; and the test itself can tell."""

from __future__ import annotations

from pathlib import Path

import pytest

import layers

ROOT = Path(__file__).resolve().parents[2]


def test_no_room_imports_upwards_or_sideways() -> None:
    assert (ROOT / "src/vectorloom/errors.py").is_file()
    assert layers.violations(ROOT) == []


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("src/vectorloom/learn/a.py", "from vectorloom.index import Exact", "'index'"),
        ("src/vectorloom/learn/a.py", "import vectorloom.compress.pq", "'compress'"),
        ("src/vectorloom/io/a.py", "def f():\n    from vectorloom import cli", "'cli'"),
        ("src/vectorloom/index/a.py", "import vectorloom as vl", "'__init__'"),
        ("src/vectorloom/misc/a.py", "", "no layer"),
        ("core/base/a.h", '#include "simd/cpu.h"', "must not include"),
        ("core/simd/a.cc", "#include <Python.h>", "bindings alone"),
        ("core/simd/a.cc", "#include <nanobind/nanobind.h>", "bindings alone"),
        ("core/simd/a.cc", '#include "../base/errors.h"', "path from core/"),
    ],
)
def test_an_import_that_goes_upwards_is_named(
    tmp_path: Path, path: str, text: str, said: str
) -> None:
    for name in ("core/simd/cpu.h", "core/base/errors.h", path):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / path).write_text(text + "\n")
    found = layers.violations(tmp_path)
    assert len(found) == 1
    assert path in found[0]
    assert said in found[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("src/vectorloom/index/a.py", "from vectorloom import _core\nimport vectorloom.learn.b"),
        ("src/vectorloom/cli/a.py", "import vectorloom as vl\nfrom vectorloom.demo import run"),
        ("core/bindings/a.cc", '#include <nanobind/nanobind.h>\n#include "base/errors.h"'),
    ],
)
def test_an_import_that_goes_downwards_is_fine(tmp_path: Path, path: str, text: str) -> None:
    for name in ("core/base/errors.h", path):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / path).write_text(text + "\n")
    assert layers.violations(tmp_path) == []
