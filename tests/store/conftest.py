# SPDX-License-Identifier: Apache-2.0
"""What the tests of collections share."""

from __future__ import annotations

import pytest


@pytest.fixture
def folder(tmp_path):
    """Where a collection is to be; nothing is there yet."""
    return tmp_path / "things"
