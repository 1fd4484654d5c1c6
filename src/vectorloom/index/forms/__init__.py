# SPDX-License-Identifier: Apache-2.0
"""Other forms of search, over any index."""
