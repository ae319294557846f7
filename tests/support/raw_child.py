"""Runs raw SQL where a query's process would run only what its engine made, to show what each wall holds by itself.

Started like `lakehead.query.child`. The job's SQL is JSON: `walls` names those that stand: "landlock" with the limits,
"lock-down" of DuckDB, or "engine" for all of them. `statements` are run one by one, each in a session of its own. What
came of each is a line of JSON in `outcomes.jsonl` in the job's folder.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from lakehead.errors import LakeheadError
from lakehead.query import child, engine, landlock, walls
from lakehead.query.job import QueryAnswer, QueryJob
from support.hostile import CANARY


class Zone(ZoneInfo):
    """A time zone as pytz has it."""

    def localize(self, moment: datetime) -> datetime:
        return moment.replace(tzinfo=self)


_confine = walls.confine


def confine(job: QueryJob) -> int:
    """Raise the walls of this job."""
    if json.loads(job.sql)["walls"] in ("lock-down", "none"):
        landlock.abi = lambda: 0
    return _confine(job)


def answer(job: QueryJob, landlock: int) -> QueryAnswer:
    """Run all statements."""
    told = json.loads(job.sql)
    tempfile.tempdir = job.folder
    run = {"engine": by_engine, "lock-down": locked_down, "landlock": wide_open, "none": wide_open}[told["walls"]]
    with (Path(job.folder) / "outcomes.jsonl").open("w", encoding="utf-8") as outcomes:
        for statement in told["statements"]:
            outcomes.write(json.dumps(run(job, statement)) + "\n")
            outcomes.flush()
    return QueryAnswer((), 0, False, 0, 0, (0, 0), 0, landlock)


def by_engine(job: QueryJob, statement: str) -> dict[str, Any]:
    """As a query of the console is run."""
    try:
        with child.open_engine(job).run(statement, max_rows=job.limits.rows) as result:
            return {"rows": repr(list(result.rows))}
    except LakeheadError as error:
        return error.to_json()


def locked_down(job: QueryJob, statement: str) -> dict[str, Any]:
    """In a session of the engine, after it was locked down for one file of the lake."""
    session = child.open_engine(job).session(Path(job.folder))
    return outcome(session, statement, [Path(json.loads(job.sql)["file"])], Path(job.folder))


def wide_open(job: QueryJob, statement: str) -> dict[str, Any]:
    """In a session that DuckDB limits in no way."""
    return outcome(duckdb.connect(), statement)


def outcome(
    session: duckdb.DuckDBPyConnection, statement: str, files: list[Path] | None = None, folder: Path = Path()
) -> dict[str, Any]:
    """Run one statement in a session, which a lock-down precedes where it is told files."""
    canary_in_python = session.sql(f"SELECT '{CANARY}' AS a")  # what a replacement scan would find
    try:
        if files is not None:
            engine._lock_down(session, files, folder)
        return {"rows": repr(session.execute(statement).fetchmany(1000))}
    except Exception as error:  # whatever it is, it is told
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        del canary_in_python
        session.close()


def main() -> None:
    # DuckDB's client wants it for an instant with a zone, which is among what read_text() gives.
    sys.modules["pytz"] = SimpleNamespace(timezone=Zone, utc=Zone("UTC"))  # type: ignore[assignment]
    child.confine = confine  # type: ignore[attr-defined]
    child.serve(answer)
