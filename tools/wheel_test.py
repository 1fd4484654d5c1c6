# SPDX-License-Identifier: Apache-2.0
"""Build a wheel, look into it, install it alone in a new environment and do the README's first job.

What users install is the wheel, not the checkout: a file that the wheel lacks or an import that
only works beside the sources is found here. ``python tools/wheel_test.py``; it leaves the wheel in
dist/.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import check_readme

ROOT = Path(__file__).resolve().parent.parent


def build(folder: Path) -> Path:
    """Build the wheel with the tools of this environment."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(folder), "."],
        check=True,
        cwd=ROOT,
    )
    return next(iter(folder.glob("vectorloom-*.whl")))


def wrong_contents(wheel: Path) -> list[str]:
    """Return what the wheel lacks of the package, and what it has beside it."""
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    package = ROOT / "src" / "vectorloom"
    sources = {
        "vectorloom/" + path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    found = [f"lacks {name}" for name in sorted((sources | {"vectorloom/_core.pyi"}) - inside)]
    foreign = (name for name in inside if not name.startswith(("vectorloom/", "vectorloom-")))
    found += [f"must not hold {name}" for name in sorted(foreign)]
    if not any(name.startswith("vectorloom/_core.") and ".pyi" not in name for name in inside):
        found.append("lacks the compiled module")
    return found


def try_out(wheel: Path, folder: Path) -> None:
    """Install the wheel into a new environment and run the README's snippet far from here."""
    environment = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    pip = [str(programs / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", str(wheel)], check=True)
    _, code = check_readme.snippet((ROOT / "README.md").read_text("utf-8"))
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for words in (
        [str(programs / "python"), "-I", "-c", code],
        [str(programs / "vectorloom"), "doctor", "--json"],
    ):
        done = subprocess.run(
            words, cwd=folder, env=clean, capture_output=True, text=True, check=False
        )
        if done.returncode or not done.stdout.strip():
            raise SystemExit(f"{words[0]} failed:\n{done.stdout}{done.stderr}")


def main() -> int:
    """Build, look, try; 1 when the wheel is not what it should be."""
    target = ROOT / "dist"
    with tempfile.TemporaryDirectory(prefix="vectorloom-wheel-") as name:
        folder = Path(name)
        wheel = build(folder)
        found = wrong_contents(wheel)
        for line in found:
            print(f"{wheel.name} {line}")
        if not found:
            try_out(wheel, folder)
        target.mkdir(exist_ok=True)
        kept = target / wheel.name
        kept.write_bytes(wheel.read_bytes())
    print(f"· {kept.relative_to(ROOT)}: {kept.stat().st_size / 2**20:.1f} MiB")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
