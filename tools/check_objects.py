# SPDX-License-Identifier: Apache-2.0
"""Code compiled for one CPU level must not leak into the rest of the library.

An inline function or template that two object files define is merged by the linker, which keeps
whichever comes first. When that is the copy compiled for AVX-512, a CPU without AVX-512 crashes in
code that seemed to have nothing to do with it. So the objects of the levels above the baseline may
define no weak symbol: their helpers live in an anonymous namespace.

``python tools/check_objects.py [BUILD_DIR]`` reads ``CMakeFiles/vl_simd_<level>.dir`` of a build.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASELINE = {"scalar", "neon"}  # compiled with the flags of the rest of the library
# The only weak symbol without code or state of its own: the compiler's pointer to the exception
# personality routine, equal in every copy.
HARMLESS = re.compile(r"^DW\.ref\.__g(xx|cc)_personality_v0$")


def weak_definitions(nm_output: str) -> list[str]:
    """Return the names that ``nm`` marks as weakly or uniquely defined (W, V, u)."""
    names = []
    for line in nm_output.splitlines():
        parts = line.split()
        if len(parts) >= 3 and parts[-2] in ("W", "V", "u") and not HARMLESS.match(parts[-1]):
            names.append(parts[-1])
    return names


def level_objects(build: Path) -> list[tuple[str, Path]]:
    """Return (level, object file) for the levels above the baseline."""
    return [
        (folder.name.removeprefix("vl_simd_").removesuffix(".dir"), path)
        for folder in sorted(build.glob("CMakeFiles/vl_simd_*.dir"))
        for path in sorted(folder.rglob("*.o"))
    ]


def newest_build(root: Path) -> Path | None:
    """Return the build folder that was configured last."""
    builds = [path.parent for path in root.glob("build/*/CMakeCache.txt")]
    return max(builds, key=lambda path: (path / "CMakeCache.txt").stat().st_mtime, default=None)


def violations(build: Path) -> list[str]:
    """Return one line for each weak symbol in an object of a level above the baseline."""
    nm = shutil.which("nm") or shutil.which("llvm-nm")
    if nm is None:
        return ["nm was not found: it comes with the compiler (binutils)"]
    found = []
    for level, path in level_objects(build):
        if level in BASELINE:
            continue
        output = subprocess.run([nm, str(path)], check=True, capture_output=True, text=True).stdout
        found += [
            f"{level}: {path.name} defines the weak symbol {name}: put its source in an anonymous "
            "namespace, or call nothing inline from a shared header"
            for name in weak_definitions(output)
        ]
    return found


def main() -> int:
    """Print the leaks; 1 when there are any, or when there was nothing to look at."""
    build = Path(sys.argv[1]) if len(sys.argv) > 1 else newest_build(ROOT)
    if build is None or not level_objects(build):
        print(f"no objects of CPU levels under {build or 'build/'}: run make build first")
        return 1
    found = violations(build)
    for line in found:
        print(line)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
