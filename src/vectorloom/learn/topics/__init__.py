# SPDX-License-Identifier: Apache-2.0
"""Topics of texts, one file a method."""
