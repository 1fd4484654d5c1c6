# SPDX-License-Identifier: Apache-2.0
"""Indexes of dense rows."""
