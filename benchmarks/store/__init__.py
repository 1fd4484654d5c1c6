# SPDX-License-Identifier: Apache-2.0
"""Embedded vector stores side by side: filling, opening, searching, filtering, bytes on disk."""
