# SPDX-License-Identifier: Apache-2.0
"""clang-tidy over our C++ files, each with the flags it is built with, and none twice.

``python tools/run_clang_tidy.py [BUILD_DIR]``. A file's verdict is kept under the build folder as
long as the file, our headers, its flags and the list of checks stay the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "core"


def newest_database(root: Path) -> Path | None:
    """Return the build folder whose compile commands were written last."""
    found = list(root.glob("build/*/compile_commands.json"))
    return max(found, key=lambda path: path.stat().st_mtime).parent if found else None


def our_entries(build: Path) -> list[dict[str, str]]:
    """Return the compile commands of files under core/, in order of name."""
    entries = json.loads((build / "compile_commands.json").read_text("utf-8"))
    ours = [e for e in entries if Path(e["file"]).resolve().is_relative_to(CORE)]
    return sorted(ours, key=lambda entry: entry["file"])


def fingerprint(entry: dict[str, str], shared: bytes) -> str:
    """Return a name for everything that the verdict on one file depends on."""
    digest = hashlib.sha256(shared)
    digest.update(entry["command"].encode())
    digest.update(Path(entry["file"]).read_bytes())
    return digest.hexdigest()[:32]


def clang_tidy() -> str:
    """Return the clang-tidy of this environment, or the one on PATH."""
    local = Path(sys.executable).parent / "clang-tidy"
    return str(local) if local.exists() else "clang-tidy"


def inspect(build: Path, entry: dict[str, str]) -> tuple[bool, str]:
    """Run clang-tidy on one file; return (clean, what it said)."""
    done = subprocess.run(
        [clang_tidy(), "--quiet", f"--config-file={ROOT / '.clang-tidy'}", "-p", str(build),
         "--extra-arg=-Wno-unknown-warning-option",
         "--extra-arg=-Wno-ignored-optimization-argument", entry["file"]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode == 0, done.stdout + (done.stderr if done.returncode else "")


def main() -> int:
    """Check every file that changed; 1 when one is not clean or there is nothing to check."""
    build = Path(sys.argv[1]) if len(sys.argv) > 1 else newest_database(ROOT)
    entries = our_entries(build) if build else []
    if build is None or not entries:
        print("no compile commands under build/: run make build first")
        return 1
    headers = sorted(CORE.rglob("*.h"))
    version = subprocess.run([clang_tidy(), "--version"], capture_output=True, check=True).stdout
    shared = b"".join(path.read_bytes() for path in [ROOT / ".clang-tidy", *headers]) + version
    kept = build / "clang-tidy-clean"
    kept.mkdir(exist_ok=True)
    todo = [e for e in entries if not (kept / fingerprint(e, shared)).exists()]
    failed = 0
    with ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 8)) as pool:
        verdicts = pool.map(lambda entry: inspect(build, entry), todo)
        for entry, (clean, said) in zip(todo, verdicts, strict=True):
            if clean:
                (kept / fingerprint(entry, shared)).touch()
            else:
                failed += 1
                print(said.strip())
    print(f"  {len(entries)} files, {len(todo)} looked at anew, {failed} not clean")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
