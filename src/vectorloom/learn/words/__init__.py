# SPDX-License-Identifier: Apache-2.0
"""Vectors of words, one file a method."""
