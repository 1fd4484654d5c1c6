# SPDX-License-Identifier: Apache-2.0
"""The Python surface of the compiled module, as text that a change must show in its diff.

``python tools/stub.py``            compare the installed module with tests/golden/_core.pyi
``python tools/stub.py --update``   take the installed module as the new golden stub
``python tools/stub.py --golden F`` compare with another file
"""

from __future__ import annotations

import argparse
import difflib
import subprocess
import sys
import tempfile
from pathlib import Path

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden" / "_core.pyi"


def generate() -> str:
    """Return the stub of the installed ``vectorloom._core``."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "_core.pyi"
        command = [sys.executable, "-m", "nanobind.stubgen", "-q", "-m", "vectorloom._core"]
        subprocess.run([*command, "-o", str(target)], check=True)
        text = target.read_text("utf-8")
    return "\n".join(line.rstrip() for line in text.splitlines()).strip() + "\n"


def difference(golden: Path) -> str:
    """Return a diff from the golden stub to the module's own; empty when they agree."""
    return "".join(
        difflib.unified_diff(
            golden.read_text("utf-8").splitlines(keepends=True),
            generate().splitlines(keepends=True),
            fromfile=f"{golden.name} (golden)",
            tofile="vectorloom._core (installed)",
        )
    )


def main() -> int:
    """Compare, or update; 1 when the stubs differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--golden", type=Path, default=GOLDEN)
    options = parser.parse_args()
    if options.update:
        options.golden.write_text(generate(), "utf-8")
        return 0
    text = difference(options.golden)
    if text:
        print(text)
        print("The compiled module's surface changed. If that is meant: make stubs, and commit it.")
    return int(bool(text))


if __name__ == "__main__":
    sys.exit(main())
