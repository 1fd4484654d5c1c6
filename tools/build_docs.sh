#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# build_docs.sh PYTHON CONFIG SITE   build the documentation; any warning fails
#
# Not with mkdocs --quiet: it hides warnings before --strict counts them, so nothing ever fails.
set -eu
export NO_MKDOCS_2_WARNING=1
exec "$1" -m mkdocs build --strict --config-file "$2" --site-dir "$3"
