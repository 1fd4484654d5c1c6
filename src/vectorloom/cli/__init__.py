# SPDX-License-Identifier: Apache-2.0
"""The `vectorloom` command: one thin file a command over the public Python interface."""
