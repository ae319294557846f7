"""A query's own process: it gets one job, raises the walls, answers, and ends.

It is started as `python -m lakehead.query.child PARENT`, gets ready, and waits for one line of JSON on stdin, the job.
One line of JSON on stdout is the answer: `{"answer": ...}` or `{"error": ...}`.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lakehead.errors import LakeheadError, QueryError, TableNotFound
from lakehead.query.job import RESULT, Limits, QueryAnswer, QueryJob
from lakehead.query.walls import confine, die_with

if TYPE_CHECKING:
    from lakehead.catalog import Table
    from lakehead.query.engine import QueryEngine
    from lakehead.query.result import QueryResult

Answering = Callable[[QueryJob, int], QueryAnswer]
"""Answers a job; the number is the ABI of Landlock that holds."""


def serve(answering: Answering) -> None:
    """Answer one job by `answering`, and end. Where stdin ends first there is nothing to do."""
    die_with(int(sys.argv[1]))
    _get_ready()
    # What a library prints is no answer.
    replies = os.dup(1)
    os.dup2(2, 1)
    line = sys.stdin.buffer.readline()
    if not line:
        return
    job = QueryJob.from_json(json.loads(line))
    try:
        reply = {"answer": answering(job, confine(job)).to_json()}
    except LakeheadError as error:
        reply = {"error": error.to_json()}
    except MemoryError:
        reply = {"error": QueryError("the query needs more memory than it may have").to_json()}
    with os.fdopen(replies, "wb") as stream:
        stream.write(json.dumps(reply, default=str).encode() + b"\n")
    os._exit(0)  # without giving back, piece by piece, what the system takes back at once


def _get_ready() -> None:
    """Import all that a query needs: later there would be a person waiting."""
    import duckdb  # noqa: F401

    import lakehead.query.engine  # noqa: F401
    from lakehead.model import utc_now
    from lakehead.query.parse import Show, parse
    from lakehead.query.queries import Binder

    statement = parse("SELECT 1")
    assert not isinstance(statement, Show)
    Binder(_no_table, "", utc_now()).statement(statement)


def _no_table(name: str) -> Table:
    raise TableNotFound("there is no catalog yet", table=name)


def answer(job: QueryJob, landlock: int) -> QueryAnswer:
    """Run a query by the engine, and write its rows to the job's folder. Raises what `QueryEngine.run` raises."""
    folder, limits = Path(job.folder), job.limits
    tempfile.tempdir = str(folder)
    with open_engine(job).run(job.sql, max_rows=limits.rows, timeout_seconds=limits.seconds) as result:
        _keep(result, folder / RESULT, limits)
        return QueryAnswer(
            columns=tuple(result.columns),
            row_count=result.row_count,
            truncated=result.truncated,
            files=result.files,
            scanned_bytes=result.scanned_bytes,
            partitions=result.partitions,
            widest_row=result.widest_row,
            landlock=landlock,
        )


def open_engine(job: QueryJob) -> QueryEngine:
    """The engine over a job's lake. It reads the catalog and changes nothing."""
    from lakehead.catalog import CatalogReader
    from lakehead.query.engine import Bounds, QueryEngine
    from lakehead.storage import open_store

    ground, limits = job.ground, job.limits
    os.environ.update(ground.environment)
    return QueryEngine(
        CatalogReader(Path(ground.catalog), database=ground.database),
        open_store(ground.address if ground.remote else Path(ground.address), region=ground.region),
        cache_dir=Path(ground.cache_dir),
        memory_limit=limits.memory,
        threads=limits.threads,
        bounds=Bounds(limits.row_bytes, limits.answer_bytes, limits.spill_bytes),
    )


def _keep(result: QueryResult, path: Path, limits: Limits) -> None:
    import duckdb

    try:
        result.write_parquet(path)
    except duckdb.OutOfMemoryException as error:
        raise QueryError("the answer needs more memory than it may have", hint="Select less.") from error
    except (duckdb.Error, OSError) as error:
        hint = f"It may take {limits.answer_bytes:,} bytes on the disk. Select less, or aggregate."
        raise QueryError(f"the answer cannot be kept: {error}", hint=hint) from error


if __name__ == "__main__":
    serve(answer)
