# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: suites as plain data, peers beside us, speed never without quality."""
