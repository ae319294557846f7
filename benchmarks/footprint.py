"""What Lakehead costs before it does anything: the seconds of `lakehead --help`, and what an installation weighs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import ROOT, Figures

LOCKED = ROOT / "requirements/dev.txt"


def run(*, install: bool) -> Figures:
    told: Figures = {
        "help_cpu": cpu([sys.executable, "-m", "lakehead", "--help"]),
        "click_cpu": cpu([sys.executable, "-c", "import click"]),
        "python_cpu": cpu([sys.executable, "-c", "pass"]),
    }
    print(
        f"  lakehead --help {told['help_cpu'] * 1000:.0f} ms CPU, import click {told['click_cpu'] * 1000:.0f} ms",
        flush=True,
    )
    if install:
        told["installed"] = installed()
        print(f"  core installation {sum(told['installed'].values()) / 1e6:.0f} MB")
    return told


def cpu(command: list[str], times: int = 15) -> float:
    """Processor seconds of a command, the median."""
    taken = []
    for _ in range(times):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, command
        taken.append(usage.ru_utime + usage.ru_stime)
    return statistics.median(taken)


def installed() -> dict[str, int]:
    """Bytes on disk of each package of a fresh installation without extras, as pip leaves it, bytecode included."""
    with tempfile.TemporaryDirectory(prefix="lakehead-bench-") as folder:
        root = Path(folder)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / "venv"], check=True)
        python = root / "venv/bin/python"
        pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", "--constraint", str(_versions(root)), str(ROOT)], check=True)
        packages = next((root / "venv/lib").glob("python*/site-packages"))
        sizes: dict[str, int] = {}
        for path in packages.iterdir():
            name = path.name.partition("-")[0].partition(".")[0].lstrip("_").lower()
            size = sum(file.lstat().st_size for file in (path, *path.rglob("*")) if file.is_file())
            sizes[name] = sizes.get(name, 0) + size
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def _versions(folder: Path) -> Path:
    """The locked versions without their hashes: a constraint, no demand."""
    lines = [line.partition(" \\")[0] for line in LOCKED.read_text(encoding="utf-8").splitlines() if "==" in line]
    path = folder / "constraints.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
