# SPDX-License-Identifier: Apache-2.0
"""Learn vectors from raw data: text today, graphs and records to come."""

from __future__ import annotations

from vectorloom.learn.encode import encode
from vectorloom.learn.latent_semantic import LatentSemantic

__all__ = ["LatentSemantic", "encode"]
