#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make_venv.sh VENV [PYTHON]         make VENV with the first Python >= 3.10 that is found
# make_venv.sh --same VENV PYTHON    exit 0 when VENV was made with this version of Python
set -eu

version_of() { "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null; }

if [ "$1" = "--same" ]; then
  [ -x "$2/bin/python" ] && [ "$(version_of "$2/bin/python")" = "$(version_of "$3")" ]
  exit
fi

venv=$1
wanted=${2:-}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

if [ -n "$wanted" ]; then
  new_enough "$wanted" || { echo "PYTHON=$wanted does not run, or is older than Python 3.10." >&2; exit 1; }
  python=$wanted
else
  if [ -x "$venv/bin/python" ] && new_enough "$venv/bin/python"; then exit 0; fi
  python=
  for name in python3 python3.13 python3.12 python3.11 python3.10 python3.14 python; do
    if new_enough "$name"; then python=$name; break; fi
  done
  if [ -z "$python" ]; then
    echo "No Python >= 3.10 was found on PATH. Install one, or say which: make PYTHON=/path/to/python3" >&2
    exit 1
  fi
fi

if [ -x "$venv/bin/python" ] && [ "$(version_of "$venv/bin/python")" = "$(version_of "$python")" ]; then
  exit 0
fi

echo "· making $venv with $("$python" --version)"
rm -rf "$venv"
# Some distributions cut ensurepip out of Python; their own pip can then fill the environment.
if ! "$python" -m venv "$venv" >/dev/null 2>&1; then
  rm -rf "$venv"
  "$python" -m venv --without-pip "$venv" &&
    "$python" -m pip --python "$venv/bin/python" install --quiet pip || {
      echo "$python cannot make a virtual environment: install its venv package" \
           "(Debian, Ubuntu: python3-venv) and run make again." >&2
      exit 1
    }
fi
