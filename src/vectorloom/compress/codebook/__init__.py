# SPDX-License-Identifier: Apache-2.0
"""Codes that name rows of codebooks."""
