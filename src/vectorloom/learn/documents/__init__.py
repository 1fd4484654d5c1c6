# SPDX-License-Identifier: Apache-2.0
"""Vectors of texts, one file a method."""
