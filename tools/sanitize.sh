#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# sanitize.sh VENV KINDS [PYTEST ARGUMENT…]   run tests on a build with sanitizers, in its own folder
#
# Output is not captured below Python, so that a report of the sanitizer is seen before the process
# ends.
#
# The build gets an environment of its own that borrows every dependency of VENV through a .pth line.
# Python reads no .pth of a borrowed folder, so the editable install of VENV stays out of the way.
set -eu
venv=$1
kinds=$2
shift 2
folder=build/sanitize-$(echo "$kinds" | tr ',' '-')
python=$folder/venv/bin/python
cxx=${CXX:-c++}

[ -x "$python" ] || "$venv/bin/python" -m venv --without-pip "$folder/venv"
borrowed=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
own=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$borrowed" > "$own/borrowed.pth"

echo "· building with -fsanitize=$kinds"
sh tools/quietly.sh "$venv/bin/python" -m pip --quiet install --no-build-isolation --no-deps --upgrade \
  --target "$own" -C build-dir="$folder/objects" -C cmake.build-type=RelWithDebInfo \
  -C cmake.define.VECTORLOOM_SANITIZE="$kinds" .

preload=
for kind in $(echo "$kinds" | tr ',' ' '); do
  case $kind in
    address) preload="$preload $($cxx -print-file-name=libasan.so)" ;;
    undefined) preload="$preload $($cxx -print-file-name=libubsan.so)" ;;
    thread) preload="$preload $($cxx -print-file-name=libtsan.so)" ;;
  esac
done
# Leaks are not asked for: the interpreter keeps what it has until it ends.
export ASAN_OPTIONS="detect_leaks=0:halt_on_error=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:${UBSAN_OPTIONS:-}"
export TSAN_OPTIONS="halt_on_error=1:suppressions=$PWD/tools/thread_sanitizer.supp:${TSAN_OPTIONS:-}"
export PYTHONMALLOC=malloc
# BLAS is not instrumented: its own threads look like races.
export OPENBLAS_NUM_THREADS=1
LD_PRELOAD="$preload" exec "$python" -m pytest -m "not slow" -p no:cacheprovider --capture=sys "$@"
