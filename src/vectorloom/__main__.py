# SPDX-License-Identifier: Apache-2.0
"""``python -m vectorloom``, for machines where the script is not on the path."""

from __future__ import annotations

from vectorloom.cli.main import main

if __name__ == "__main__":
    main()
