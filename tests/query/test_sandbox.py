"""A query in a process of its own: it answers as the engine does, and is gone when it should be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest
from support import waiting
from support.hostile import CANARY
from support.room import Room
from support.sandboxes import ask, open_room_sandbox

from lakehead.errors import QueryError, StorageUnavailable, UnsupportedSql
from lakehead.query import landlock, walls
from lakehead.query.job import Ground, Limits, QueryAnswer, QueryJob
from lakehead.query.sandbox import Cancelled, Running, Sandbox

LIMITS = Limits(memory="256MB", threads=1, seconds=60.0)
FOREVER = "SELECT sum(x0 + x1 + x2 + x3) FROM " + " CROSS JOIN ".join(
    f"UNNEST(sequence(1, 10000)) AS t{number} (x{number})" for number in range(4)
)
BOUND = 30.0
"""How long anything may take here on a busy machine (seconds)."""

until = partial(waiting.until, seconds=BOUND)


@pytest.fixture
def sandbox(asked: Room) -> Iterator[Sandbox]:
    sandbox = open_room_sandbox(asked.root, LIMITS)
    yield sandbox
    sandbox.close()


def make(room: Room, code: str, **limits: Any) -> Sandbox:
    """A sandbox whose processes run this Python instead."""
    command = (sys.executable, "-P", "-c", code)
    return open_room_sandbox(room.root, replace(LIMITS, **limits), command)


def at_work(pid: int) -> bool:
    """Whether DuckDB's threads run, which come last."""
    return psutil.Process(pid).num_threads() > 4


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def rows_of(folder: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect() as session:
        return session.execute(f"SELECT * FROM read_parquet('{folder}/result.parquet')").fetchall()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT order_id, product, total_amount, order_date FROM processed_orders ORDER BY 1",
        "SELECT source_key, line, reasons FROM quarantine_orders",
        "SELECT count(*), sum(total_amount) FROM processed_orders WHERE order_date = '2025-01-02'",
        "SELECT 1 AS a, 2 AS a, CAST(NULL AS varchar) AS \"A\", ARRAY[1.5, 2.5], map(ARRAY['k'], ARRAY[true])",
        "SELECT x FROM (VALUES 1) AS t (x) WHERE false",
        "SELECT now() IS NOT NULL, CAST(TIMESTAMP '2025-01-01 10:00:00.123' AS varchar)",
    ],
)
def test_it_answers_as_the_engine_does(asked: Room, sandbox: Sandbox, sql: str) -> None:
    ended = ask(sandbox, sql, asked.root / "jobs")
    assert ended.answer is not None, ended
    with asked.engine.run(sql) as expected:
        assert list(ended.answer.columns) == expected.columns
        assert (ended.answer.files, ended.answer.scanned_bytes) == (expected.files, expected.scanned_bytes)
        assert (ended.answer.partitions, ended.answer.row_count) == (expected.partitions, expected.row_count)
        assert rows_of(ended.folder) == list(expected.rows)
    assert [path.name for path in ended.folder.iterdir()] == ["result.parquet"]


@pytest.mark.parametrize("sql", ["SHOW TABLES", "SHOW PARTITIONS processed_orders", "DESCRIBE raw_orders"])
def test_it_shows_what_the_catalog_holds(asked: Room, sandbox: Sandbox, sql: str) -> None:
    ended = ask(sandbox, sql, asked.root / "jobs")
    assert ended.answer is not None, ended
    expected = asked.engine.run(sql)
    assert (list(ended.answer.columns), rows_of(ended.folder)) == (expected.columns, list(expected.rows))


def test_intervals_are_kept_as_athena_writes_them(asked: Room, sandbox: Sandbox) -> None:
    sql = "SELECT INTERVAL '3' MONTH, INTERVAL '-14' MONTH, INTERVAL '-1' DAY, INTERVAL '90' MINUTE"
    ended = ask(sandbox, sql, asked.root / "jobs")
    assert rows_of(ended.folder) == [("0-3", "-1-2", "-1 00:00:00.000", "0 01:30:00.000")]


def test_errors_say_what_the_engine_says(asked: Room, sandbox: Sandbox) -> None:
    for sql in ("SELECT nope FROM processed_orders", "SELECT * FROM nope", "SELEC 1", "SELECT uuid()", "SELECT 1/0"):
        with pytest.raises(QueryError) as expected:
            asked.rows(sql)
        error = ask(sandbox, sql, asked.root / "jobs").error
        assert type(error) is type(expected.value)
        assert error is not None and error.to_json() == expected.value.to_json()
    assert isinstance(ask(sandbox, "DROP TABLE raw_orders", asked.root / "jobs").error, UnsupportedSql)


def test_rows_beyond_the_limit_are_left_out(asked: Room) -> None:
    sandbox = open_room_sandbox(asked.root, replace(LIMITS, rows=2))
    ended = ask(sandbox, "SELECT order_id FROM processed_orders ORDER BY 1", asked.root / "jobs")
    sandbox.close()
    assert ended.answer is not None and (ended.answer.row_count, ended.answer.truncated) == (2, True)
    assert rows_of(ended.folder) == [(1,), (2,)]


def test_answers_that_are_too_big_are_refused(asked: Room) -> None:
    sandbox = open_room_sandbox(asked.root, replace(LIMITS, row_bytes=1000, answer_bytes=3000))
    wide = ask(sandbox, "SELECT lpad('x', 600, 'x'), ARRAY[lpad('x', 500, 'x')]", asked.root / "jobs")
    long = ask(sandbox, "SELECT lpad('x', 900, 'x') FROM processed_orders", asked.root / "jobs")
    fits = ask(sandbox, "SELECT lpad('x', 700, 'x') FROM processed_orders", asked.root / "jobs")
    sandbox.close()
    assert "a row of the answer has" in wide.told and "the answer has 3,600 bytes" in long.told
    assert fits.answer is not None and fits.answer.widest_row == 700


def test_what_is_put_aside_on_the_disk_is_bounded(asked: Room) -> None:
    numbers = "UNNEST(sequence(1, 100)) AS a (x) CROSS JOIN UNNEST(sequence(1, 10000)) AS b (y)"
    text = "concat('a long text that tells ', CAST(x * 10000 + y AS varchar))"
    sql = f"SELECT count(*) FROM (SELECT DISTINCT {text} AS t FROM {numbers})"
    told = []
    for room in (1 << 20, 1 << 30):
        sandbox = open_room_sandbox(asked.root, replace(LIMITS, memory="48MB", spill_bytes=room))
        told.append(ask(sandbox, sql, asked.root / "jobs"))
        sandbox.close()
    little, enough = told
    assert isinstance(little.error, QueryError) and "more memory than it may have" in little.told
    assert rows_of(enough.folder) == [(1_000_000,)]


def test_a_process_serves_one_query_and_the_next_is_ready(asked: Room, sandbox: Sandbox, tmp_path: Path) -> None:
    others = set(psutil.Process().children())  # of other tests
    first = start(sandbox, "SELECT 1", tmp_path / "a")
    first.answer()
    until(lambda: len(set(psutil.Process().children()) - others) == 1)
    (spare,) = set(psutil.Process().children()) - others
    second = start(sandbox, "SELECT 1", tmp_path / "b")
    assert second.pid == spare.pid != first.pid
    second.answer()
    assert gone(first.pid) and gone(second.pid)
    sandbox.close()
    assert set(psutil.Process().children()) <= others


def start(sandbox: Sandbox, sql: str, folder: Path) -> Running:
    folder.mkdir()
    return sandbox.start(sql, folder)


def test_a_query_that_is_cancelled_is_gone_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    running = start(sandbox, FOREVER, tmp_path / "job")
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(running.answer)
        until(lambda: at_work(running.pid))
        running.cancel()
        assert isinstance(answer.exception(BOUND), Cancelled)
    assert gone(running.pid)
    running.cancel()  # again, without harm


def test_a_process_that_hangs_is_killed(asked: Room, tmp_path: Path) -> None:
    sandbox = open_room_sandbox(asked.root, replace(LIMITS, seconds=0.5))
    running = start(sandbox, "SELECT 1", tmp_path / "job")
    os.kill(running.pid, signal.SIGSTOP)
    with pytest.raises(QueryError, match="took too long"):
        running.answer()
    assert gone(running.pid)
    sandbox.close()


def test_a_process_that_the_machine_kills_is_told(sandbox: Sandbox, tmp_path: Path) -> None:
    running = start(sandbox, FOREVER, tmp_path / "job")
    os.kill(running.pid, signal.SIGKILL)
    with pytest.raises(QueryError, match="more memory than it may have"):
        running.answer()


def test_a_closed_sandbox_ends_what_runs_and_starts_nothing(asked: Room, tmp_path: Path) -> None:
    sandbox = open_room_sandbox(asked.root, LIMITS)
    running = start(sandbox, FOREVER, tmp_path / "a")
    sandbox.close()
    with pytest.raises(QueryError):
        running.answer()
    assert gone(running.pid)
    with pytest.raises(StorageUnavailable):
        start(sandbox, "SELECT 1", tmp_path / "b")


def test_processes_die_with_the_one_that_asked(asked: Room, tmp_path: Path) -> None:
    """Also where it is killed, which runs no code: the one that works, and the spare one."""
    tests = Path(__file__).parents[1]
    code = f"""
import sys, time
sys.path.append({str(tests)!r})
from pathlib import Path
from support.sandboxes import open_room_sandbox
from lakehead.query.job import Limits
sandbox = open_room_sandbox(Path({str(asked.root)!r}), Limits(seconds=600))
running = sandbox.start({FOREVER!r}, Path({str(tmp_path)!r}))
print(running.pid, flush=True)
running.answer()
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    until(lambda: at_work(pid) and len(psutil.Process(parent.pid).children()) == 2)
    children = [child.pid for child in psutil.Process(parent.pid).children()]
    assert pid in children
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: all(gone(child) for child in children))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_walls_stand_before_the_query_runs(
    asked: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "LAKEHEAD_CANARY", "DATABASE_URL"):
        monkeypatch.setenv(name, CANARY)
    running = start(sandbox, FOREVER, tmp_path / "job")
    worker = ThreadPoolExecutor()
    answer = worker.submit(running.answer)
    until(lambda: at_work(running.pid))
    status = Path(f"/proc/{running.pid}/status").read_text()
    limits = psutil.Process(running.pid)
    environment = Path(f"/proc/{running.pid}/environ").read_text()
    assert "NoNewPrivs:\t1" in status
    assert limits.rlimit(psutil.RLIMIT_AS) == (walls.address_bytes("256MB", 1),) * 2
    assert limits.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert limits.rlimit(psutil.RLIMIT_FSIZE) == (walls.file_bytes(LIMITS),) * 2
    assert Path(f"/proc/{running.pid}/cwd").readlink() == (tmp_path / "job").resolve()
    assert CANARY not in environment and "MALLOC_ARENA_MAX" in environment
    running.cancel()
    assert isinstance(answer.exception(BOUND), Cancelled)
    worker.shutdown()


def test_it_tells_what_confined_it(asked: Room, sandbox: Sandbox) -> None:
    answer = ask(sandbox, "SELECT 1", asked.root / "jobs").answer
    assert answer is not None and answer.landlock == landlock.abi()


PATCHED = "from lakehead.query import child, landlock; landlock.{}; child.serve(child.answer)"


def test_without_landlock_the_other_walls_remain(asked: Room) -> None:
    sandbox = make(asked, PATCHED.format("abi = lambda: 0"))
    answer = ask(sandbox, "SELECT count(*) FROM processed_orders", asked.root / "jobs").answer
    sandbox.close()
    assert answer is not None and answer.landlock == 0


@pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock")
def test_nothing_runs_where_landlock_does_not_hold(asked: Room) -> None:
    sandbox = make(asked, PATCHED.format("restrict = lambda **_: None"))
    ended = ask(sandbox, "SELECT 1", asked.root / "jobs")
    sandbox.close()
    assert isinstance(ended.error, QueryError) and "Landlock does not hold" in ended.told


@pytest.mark.parametrize(
    "reply",
    [
        "[]",
        "{}",
        "nonsense",
        '{"answer": {"columns": 1}}',
        '{"answer": null}',
        '{"error": {"error": "x"}}',
        '{"error": []}',
        "[" * 100_000,
        '{"answer": {"columns": [["a"]], "row_count": 0, "partitions": [0, 0]}}',
    ],
)
def test_a_reply_is_not_taken_on_trust(asked: Room, reply: str) -> None:
    sandbox = make(asked, f"print({reply!r})")
    error = ask(sandbox, "SELECT 1", asked.root / "jobs").error
    sandbox.close()
    assert isinstance(error, QueryError) and "no proper answer" in error.message


def test_an_error_of_another_kind_is_an_error_of_the_query(asked: Room) -> None:
    told = '{"error": {"error": "Lakehead.Any", "message": "m", "hint": "h", "where": {"message": 1, "line": 2}}}'
    sandbox = make(asked, f"print({told!r})")
    error = ask(sandbox, "SELECT 1", asked.root / "jobs").error
    sandbox.close()
    assert type(error) is QueryError
    assert (error.message, error.hint, error.where) == ("m", "h", {"line": 2})


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; sys.exit(3)", "the query's process failed"),
        ("raise MemoryError", "more memory than it may have"),
        ("import os; os.abort()", "exhausted its process"),
        ("while True: print('x' * 1_000_000)", "no proper answer"),
        ("import os, time; os.close(1); time.sleep(600)", "no proper answer"),
    ],
)
def test_a_process_that_breaks_down_is_told(asked: Room, code: str, said: str) -> None:
    sandbox = make(asked, code)
    error = ask(sandbox, "SELECT 1", asked.root / "jobs").error
    sandbox.close()
    assert isinstance(error, QueryError) and said in error.message


def test_a_process_that_cannot_be_started_is_told(asked: Room, tmp_path: Path) -> None:
    sandbox = open_room_sandbox(asked.root, LIMITS, (str(tmp_path / "no-such-program"),))
    with pytest.raises(StorageUnavailable, match="a query cannot be started"):
        start(sandbox, "SELECT 1", tmp_path / "job")
    sandbox.close()


def test_a_long_query_reaches_a_process_that_reads_slowly(asked: Room, sandbox: Sandbox) -> None:
    sql = f"SELECT length('{'x' * 250_000}')"
    ended = ask(sandbox, sql, asked.root / "jobs")
    assert rows_of(ended.folder) == [(250_000,)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1GB", 10**9), ("512MiB", 512 << 20), ("1.5 KB", 1500), ("2TiB", 2 << 40), ("1kb", 1000)],
)
def test_amounts_of_memory(text: str, expected: int) -> None:
    assert walls.memory_bytes(text) == expected


def test_variables_of_the_network_are_kept_only_for_a_remote_lake() -> None:
    found = {"HOME": "/h", "https_proxy": "p", "AWS_SECRET_ACCESS_KEY": "s", "AWS_CA_BUNDLE": "c", "PATH": "/bin"}
    assert walls.environment(found, remote=False) == {"HOME": "/h", "MALLOC_ARENA_MAX": "2"}
    assert set(walls.environment(found, remote=True)) == {"HOME", "https_proxy", "AWS_CA_BUNDLE", "MALLOC_ARENA_MAX"}


def test_a_folder_of_modules_opens_no_more_than_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules, home = tmp_path / "modules", tmp_path / "home"
    ground = Ground(str(tmp_path / "lake/state/catalog.db"), "d", str(tmp_path / "lake/data"), ("raw",), "")
    job = QueryJob("", "", ground, LIMITS)
    monkeypatch.setenv("HOME", str(home / "me"))
    monkeypatch.setattr(sys, "path", [str(modules), "/", str(tmp_path / "lake"), str(home), str(home / "me/lib")])
    opened = set(walls._readable(job))
    assert {modules, home / "me/lib", tmp_path / "lake/data/raw"} <= opened
    assert not opened & {Path("/"), tmp_path / "lake", home}


def test_an_answer_survives_its_journey() -> None:
    answer = QueryAnswer((("a", "bigint"),), 1, True, 2, 3, (4, 5), 6, 7)
    assert QueryAnswer.from_json(answer.to_json()) == answer
