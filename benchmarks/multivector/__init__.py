# SPDX-License-Identifier: Apache-2.0
"""Late interaction and hybrid retrieval beside their peers; see ``__main__``."""
