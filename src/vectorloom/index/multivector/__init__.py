# SPDX-License-Identifier: Apache-2.0
"""Indexes of items of many vectors."""
