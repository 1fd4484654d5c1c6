# SPDX-License-Identifier: Apache-2.0
"""Modules for benchmarks run by others: copy a folder into their tree of algorithms."""
