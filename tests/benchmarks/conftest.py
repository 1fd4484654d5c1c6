# SPDX-License-Identifier: Apache-2.0
"""The runner lives at the root of the checkout, outside the package."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
