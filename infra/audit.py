"""Holds every pinned dependency against the known advisories, by pip-audit. `make audit` and `make lint` run it.

Where no advisory database answers nothing can be told: that is said, and is a failure unless `--where-reachable`.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PINS = (*sorted((ROOT / "requirements").glob("*.txt")), ROOT / "src/lakehead/aws/glue-requirements.txt")
SECONDS = 300


def main(arguments: list[str]) -> int:
    """Audit every file of pins; 1 where an advisory is open, or where none could be asked for."""
    faults, unknown = 0, 0
    if "--where-reachable" in arguments and not reachable():
        say("nothing was audited: no advisory database answers here")
        return 0
    for file in PINS:
        name = file.relative_to(ROOT)
        found = audited(file)
        faults += sum(len(one.get("vulns", ())) for one in found)
        unknown += sum("skip_reason" in one for one in found)
        for one in found:
            for advisory in one.get("vulns", ()):
                fixed = ", ".join(advisory["fix_versions"]) or "no version yet"
                say(f"{name}: {one['name']} {one['version']}: {advisory['id']}, mended in {fixed}")
    if faults:
        say(f"{faults} open advisories: raise the versions in pyproject.toml, then make lock")
        return 1
    if unknown:
        say(f"{unknown} dependencies were not audited: no advisory database answers for them")
        return 1
    say("no dependency has an open advisory")
    return 0


def reachable() -> bool:
    """Whether the advisory database answers for a first pin."""
    pins = PINS[0].read_text(encoding="utf-8").splitlines(keepends=True)
    first = [pins[0], *itertools.takewhile(lambda line: line.startswith(" "), pins[1:])]
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.writelines(first)
        file.flush()
        return not any("skip_reason" in one for one in audited(Path(file.name)))


def audited(file: Path) -> list[dict[str, Any]]:
    """What pip-audit tells of each dependency: `name`, and `version` with `vulns`, or `skip_reason`."""
    options = ("--requirement", str(file), "--require-hashes", "--disable-pip", "--no-deps", "--format", "json")
    command = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        return [{"name": str(file), "skip_reason": done.stderr.strip()}]
    return found


def say(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"audit: {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
