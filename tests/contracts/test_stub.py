# SPDX-License-Identifier: Apache-2.0
"""The compiled module shows the surface that was agreed on."""

from __future__ import annotations

from pathlib import Path

import pytest

import stub


def test_compiled_module_matches_the_golden_stub() -> None:
    pytest.importorskip("nanobind")
    text = stub.difference(stub.GOLDEN)
    assert not text, f"if this is meant, run make stubs and commit the result:\n{text}"


def test_a_changed_surface_is_shown_as_a_difference(tmp_path: Path) -> None:
    pytest.importorskip("nanobind")
    golden = tmp_path / "_core.pyi"
    golden.write_text(stub.GOLDEN.read_text("utf-8") + "\ndef gone() -> None: ...\n", "utf-8")
    assert "-def gone() -> None: ..." in stub.difference(golden)
