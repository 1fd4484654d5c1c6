# SPDX-License-Identifier: Apache-2.0
"""Indexes of sparse rows and of words."""
