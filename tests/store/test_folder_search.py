# SPDX-License-Identifier: Apache-2.0
"""The example that keeps a folder searchable runs as printed, and encodes only what changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "folder_search.py"


def run(folder, question, store):
    command = [sys.executable, str(EXAMPLE), str(folder), question, str(store)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_a_second_run_encodes_only_what_changed(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    subjects = ("river boats carry grain", "mountain goats climb rocks", "wires carry power")
    for i, subject in enumerate(subjects):
        paragraph = f"{subject} while others watch and {subject} again every morning. " * 2
        (folder / f"{i}.md").write_text("\n\n".join([paragraph] * 3))
    first = run(folder, "goats climb", tmp_path / "store")
    assert "3 of 3 files were encoded" in first
    assert first.index("1.md ¶1") < first.index("Of the guides alone")
    assert "0 of 3 files" in run(folder, "goats climb", tmp_path / "store")
    (folder / "0.md").unlink()
    (folder / "1.md").write_text("mountain goats climb rocks, and then they climb down again. " * 3)
    third = run(folder, "goats climb", tmp_path / "store")
    assert "4 passages" in third
    assert "1 of 2 files" in third
