# SPDX-License-Identifier: Apache-2.0
"""The first screen of the README: what it is, how to install it, something to run, three links.

``python tools/check_readme.py [README]`` prints what is missing and exits 1 when something is.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

SCREEN = 30
FIRST_CODE = 20
SNIPPET = 12


def snippet(text: str) -> tuple[int, str]:
    """Return the line and the code of the first Python block; (0, "") when there is none."""
    match = re.search(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    if match is None:
        return 0, ""
    return text.count("\n", 0, match.start()) + 1, match.group(1)


def violations(text: str) -> list[str]:
    """Return what the first screen of `text` lacks."""
    lines = text.split("\n")
    top = "\n".join(lines[:SCREEN])
    found = []
    if not lines[0].startswith("# "):
        found.append("line 1 must be the name, as a heading")
    if "pip install" not in top:
        found.append("'pip install' must be in the first 30 lines")
    line, code = snippet(text)
    if not 0 < line <= FIRST_CODE:
        found.append(f"a Python snippet must start in the first 30 lines, by line {FIRST_CODE}")
    if line and line + code.count("\n") + 1 > SCREEN:
        found.append("the snippet must end in the first 30 lines")
    if code.count("\n") > SNIPPET:
        found.append(f"the snippet has {code.count(chr(10))} lines; at most {SNIPPET}")
    if "print" not in code:
        found.append("the snippet must print something")
    if len(re.findall(r"(?<!!)\[[^\]]+\]\([^)]+\)", top)) < 3:
        found.append("three links must be in the first 30 lines")
    if top.count("![") > 3:
        found.append("at most three badges")
    return found


def main() -> int:
    """Print what is missing; 1 when something is."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "README.md"
    found = violations(path.read_text("utf-8"))
    for line in found:
        print(f"{path.name}: {line}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
