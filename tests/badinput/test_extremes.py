"""Files of extreme shape, each loaded by a process of its own: within bounds of memory and of processor time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.extreme import CASES

TESTS = Path(__file__).resolve().parents[1]
PEAK_MB, CPU_SECONDS = 512, 10
"""What a load may take: of memory, with the interpreter and DuckDB in it, and of a processor's time."""
QUICK = {name for name in CASES if "bomb" in name or "archive" in name or "field" in name or "column" in name}
"""The others take seconds to write or to load."""

EXPECTED: dict[str, dict[str, Any]] = {
    "a field of 900 kB": {"rows": 2, "quarantined": 0},
    "a field of 4 MB": {"rows": 2, "quarantined": 1},
    "a field of 100 MB": {"error": "TooLarge", "line": 3},
    "a quoted field of 900 kB, all quotes": {"rows": 2, "quarantined": 0},
    "a quoted field of 2 MB in lines": {"rows": 2},
    "no line end in 200 MB": {"error": "TooLarge", "line": 1},
    "only line ends, 10 MB": {"rows": 0, "quarantined": 0},
    "only carriage returns, 10 MB": {"rows": 0, "quarantined": 0},
    "1,000,000 rows of delimiters": {"error": "TooManyQuarantined", "line": 2},
    "only quotes, 7 MB in a line": {"rows": 2, "quarantined": 1},
    "500,000 rows of quotes": {"rows": 1, "quarantined": 500_000},
    "an open quote before 500,000 rows": {"rows": 500_000, "quarantined": 1},
    "an open quote in each of 300,000 rows": {"rows": 1, "quarantined": 300_000},
    "500,000 rows too short": {"rows": 1, "quarantined": 500_000},
    "500,000 rows of wrong values": {"rows": 1, "quarantined": 500_000},
    "a header of 100,000 columns": {"error": "HeaderMismatch", "line": 1},
    "a row of 1,000,000 fields": {"rows": 2, "quarantined": 1},
    "a bomb of 10 GB": {"error": "TooLarge"},
    "a bomb behind good rows": {"error": "TooLarge"},
    "a bomb of lines": {"error": "TooLarge"},
    "an archive of 400,000 empty members": {"rows": 0},
    "an archive with a name of 50 MB": {"error": "CorruptArchive"},
    "an archive in an archive, ten deep": {"error": "BinaryContent"},
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in CASES])
def test_an_extreme_file_stays_within_bounds(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "support.extreme", name, str(tmp_path)]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["peak_mb"] < PEAK_MB and told["cpu"] < CPU_SECONDS, told
    assert {name: told.get(name) for name in EXPECTED[name]} == EXPECTED[name]
    assert "error" not in told or told["hint"]
