# SPDX-License-Identifier: Apache-2.0
"""Several indexes behind one search."""
