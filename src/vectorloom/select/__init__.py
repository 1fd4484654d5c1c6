# SPDX-License-Identifier: Apache-2.0
"""Choose few for many: clusterings and their centroids."""

from __future__ import annotations

from vectorloom.select.kmeans import KMeans

__all__ = ["KMeans"]
