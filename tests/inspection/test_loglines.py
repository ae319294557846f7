"""The log of one execution, out of files that rotate."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lakehead.inspection.loglines import log_lines
from lakehead.workflow.execution import Execution

BEGAN = datetime(2026, 1, 2, 12, tzinfo=UTC)


def execution(name: str = "run-1", *, began: datetime = BEGAN, seconds: float | None = 10) -> Execution:
    ended = None if seconds is None else began + timedelta(seconds=seconds)
    return Execution(1, name, "m", "d", "SUCCEEDED", None, None, None, None, {}, began, began, ended, 0)


def line(name: str | None, message: str, at: datetime = BEGAN) -> str:
    return json.dumps({"message": message, "timestamp": at.isoformat(), "execution": name}) + "\n"


def messages(log: Path, wanted: Execution) -> list[Any]:
    return [found["message"] for found in log_lines(log, wanted)]


def test_lines_of_rotated_files_come_oldest_first(tmp_path: Path) -> None:
    log = tmp_path / "lakehead.jsonl"
    (tmp_path / "lakehead.jsonl.10").write_text(line("run-1", "first") + line("run-2", "of another"))
    (tmp_path / "lakehead.jsonl.2").write_text(line(None, "none") + line("run-1", "second"))
    log.write_text(line("run-10", "its name begins so") + line("run-1", "third") + line("run-2", "it names run-1"))
    assert messages(log, execution()) == ["first", "second", "third"]
    assert messages(log, execution("run-3")) == []


def test_no_log_an_empty_one_and_lines_that_are_cut(tmp_path: Path) -> None:
    log = tmp_path / "lakehead.jsonl"
    assert messages(log, execution()) == []
    log.touch()
    assert messages(log, execution()) == []
    odd = b'\xff run-1\n["run-1"]\n'
    log.write_bytes(line("run-1", "whole").encode() + odd + line("run-1", "cut")[:-5].encode())
    assert messages(log, execution()) == ["whole"]


def test_files_of_other_times_are_passed_over(tmp_path: Path) -> None:
    log, before = tmp_path / "lakehead.jsonl", tmp_path / "lakehead.jsonl.1"
    hour = timedelta(hours=1)
    before.write_text(line("run-1", "before", BEGAN - 2 * hour))
    os.utime(before, ((BEGAN - hour).timestamp(),) * 2)
    log.write_text(line(None, "later", BEGAN + hour) + line("run-1", "after"))
    assert messages(log, execution()) == []
    assert messages(log, execution(seconds=None)) == ["after"], "it may still write"
    assert messages(log, execution(began=BEGAN - 2 * hour)) == ["before"]
    os.utime(before)  # a copy of the lake has the time of the copying
    assert messages(log, execution()) == ["before"]
