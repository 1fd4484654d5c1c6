# SPDX-License-Identifier: Apache-2.0
"""Lets the environment that runs this see the packages of another one, behind its own.

python tools/see_packages.py OTHER/bin/python
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

_ASK = "import sysconfig; print(sysconfig.get_paths()['purelib'])"


def main() -> None:
    """Write the one line of a .pth file, which takes the other's .pth files in too."""
    asked = [sys.argv[1], "-c", _ASK]
    other = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    line = f"import site; site.addsitedir({other!r})\n"
    Path(sysconfig.get_paths()["purelib"], "seen.pth").write_text(line, encoding="utf-8")


if __name__ == "__main__":
    main()
