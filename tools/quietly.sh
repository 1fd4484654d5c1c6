#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# quietly.sh COMMAND…   show the command's output only when it fails
log=$(mktemp "${TMPDIR:-/tmp}/vectorloom-build.XXXXXX")
if "$@" >"$log" 2>&1; then
  rm -f "$log"
else
  status=$?
  cat "$log" >&2
  rm -f "$log"
  exit $status
fi
