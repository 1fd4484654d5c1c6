# SPDX-License-Identifier: Apache-2.0
"""One or few bits a dimension, compared as bits."""
