# SPDX-License-Identifier: Apache-2.0
"""``python -m vectorloom.cli``, for machines where the script is not on the path."""

from vectorloom.cli.main import main

if __name__ == "__main__":
    main()
