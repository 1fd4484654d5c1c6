# SPDX-License-Identifier: Apache-2.0
"""Codes with few active entries."""
