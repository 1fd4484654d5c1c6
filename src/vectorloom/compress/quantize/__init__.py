# SPDX-License-Identifier: Apache-2.0
"""Fewer bits a dimension."""
