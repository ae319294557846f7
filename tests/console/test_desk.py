"""The desk: people's SQL goes in, states and answers come out, and nothing of it outlives its room."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest
from support.waiting import until

from lakehead.config import load_config
from lakehead.console.desk import QueryDesk
from lakehead.console.history import History
from lakehead.errors import Busy, NotFound, QueryError
from lakehead.examples import write_example
from lakehead.lake import Lake
from lakehead.query import landlock
from lakehead.query.job import Limits
from lakehead.results import QueryState

LIMITS = Limits(memory="256MB", threads=1)
SECONDS = 60.0
"""How long a query may take here on a busy machine."""
FOREVER = "SELECT sum(x0 + x1 + x2 + x3) FROM " + " CROSS JOIN ".join(
    f"UNNEST(sequence(1, 10000)) AS t{number} (x{number})" for number in range(4)
)
THREE = "SELECT order_id FROM processed_orders ORDER BY 1 LIMIT 3"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    root = tmp_path_factory.mktemp("lake") / "sales"
    write_example("sales", root)
    with Lake.open(load_config(root)) as lake:
        lake.put(sorted((root / "samples").iterdir()))
        lake.ingest()
        yield lake


@pytest.fixture(scope="module")
def shared(lake: Lake) -> Iterator[QueryDesk]:
    """A desk that tests only ask."""
    with closing(QueryDesk(lake, limits=LIMITS)) as desk:
        yield desk


@contextmanager
def another(lake: Lake, folder: Path, **options: Any) -> Iterator[QueryDesk]:
    """A desk with a state of its own, over the same tables and files."""
    state = folder / ".lakehead/dev"
    if not state.exists():
        state.mkdir(parents=True)
        with (
            closing(sqlite3.connect(lake.catalog.path)) as source,
            closing(sqlite3.connect(state / "catalog.db")) as copy,
        ):
            source.backup(copy)
    with Lake.open(replace(lake.config, root=folder)) as own:
        desk = QueryDesk(own, **{"limits": LIMITS, **options})
        try:
            yield desk
        finally:
            desk.close()


@pytest.fixture
def desk(lake: Lake, tmp_path: Path) -> Iterator[QueryDesk]:
    with another(lake, tmp_path) as desk:
        yield desk


def ask(desk: QueryDesk, sql: str) -> QueryState:
    return desk.wait(desk.submit(sql).id, SECONDS)


def rows(desk: QueryDesk, sql: str) -> list[tuple[Any, ...]]:
    state = ask(desk, sql)
    assert state.status == "SUCCEEDED", state
    return list(desk.page(state.id, 0, 1000).rows)


@pytest.fixture
def children() -> Callable[[], list[psutil.Process]]:
    """The processes that were started since."""
    before = {child.pid for child in psutil.Process().children()}
    return lambda: [child for child in psutil.Process().children() if child.pid not in before]


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# States ----------------------------------------------------------------------------------------------------------


def test_a_query_succeeds(shared: QueryDesk) -> None:
    submitted = shared.submit("SELECT * FROM processed_orders WHERE order_date >= '2025-01-04'")
    assert submitted.running and submitted.ended is None
    state = shared.wait(submitted.id, SECONDS)
    assert (state.status, state.row_count, state.files, state.truncated) == ("SUCCEEDED", 9, 5, False)
    assert state.partitions == (5, 8) and state.scanned_bytes and state.result_bytes and state.has_result
    assert state.started and state.ended and state.submitted <= state.started <= state.ended
    assert state.seconds == (state.ended - state.started).total_seconds()


def test_a_wrong_query_fails_with_what_is_wrong_and_where(shared: QueryDesk) -> None:
    state = ask(shared, "SELECT order_id,\n  nope FROM processed_orders")
    assert (state.status, state.error) == ("FAILED", 'no column is named "nope"')
    assert dict(state.where) == {"line": 2, "column": 3}
    assert state.hint.startswith("There are: ") and not state.has_result
    with pytest.raises(NotFound, match="it is FAILED"):
        shared.page(state.id)


def test_an_error_is_not_as_long_as_its_query(shared: QueryDesk) -> None:
    state = ask(shared, f'SELECT "{"x" * 200_000}" FROM processed_orders')
    assert state.status == "FAILED" and len(state.error) < 3_000


@pytest.mark.parametrize("sql", ["SELECT '\ud800'", "SELECT '" + "x" * 262_144 + "'"])
def test_what_is_no_query_at_all_is_not_taken(shared: QueryDesk, sql: str) -> None:
    before = shared.history()
    with pytest.raises(QueryError):
        shared.submit(sql)
    assert shared.history() == before


def test_a_running_query_is_cancelled_and_leaves_nothing(
    children: Callable[[], list[psutil.Process]], desk: QueryDesk, tmp_path: Path
) -> None:
    state = desk.submit(FOREVER)
    until(lambda: desk.state(state.id).started is not None and bool(children()))
    assert desk.wait(state.id, 0).running
    with pytest.raises(Busy):
        desk.page(state.id)
    desk.cancel(state.id)
    cancelled = desk.wait(state.id, SECONDS)
    assert cancelled.status == "CANCELLED" and cancelled.ended
    assert desk.cancel(state.id) == cancelled
    until(lambda: not list((tmp_path / ".lakehead/dev/console").iterdir()))


def test_a_query_that_takes_too_long_leaves_nothing(lake: Lake, tmp_path: Path) -> None:
    with another(lake, tmp_path, limits=replace(LIMITS, seconds=0.5)) as desk:
        state = ask(desk, FOREVER)
        assert (state.status, "too long" in state.error) == ("FAILED", True)
        assert not list((tmp_path / ".lakehead/dev/console").iterdir())


def test_queries_wait_for_their_turn_and_no_more_than_fit(lake: Lake, tmp_path: Path) -> None:
    with another(lake, tmp_path, at_once=1, waiting=2) as desk:
        first, second, third = desk.submit(FOREVER), desk.submit(THREE), desk.submit(THREE)
        with pytest.raises(Busy, match="3 queries run or wait already"):
            desk.submit(THREE)
        until(lambda: desk.state(first.id).started is not None)
        assert desk.state(second.id).started is None
        assert desk.cancel(third.id).status == "CANCELLED"
        desk.cancel(first.id)
        assert desk.wait(second.id, SECONDS).status == "SUCCEEDED"
        assert desk.state(third.id).status == "CANCELLED"
        assert ask(desk, THREE).status == "SUCCEEDED"


def test_a_process_that_breaks_down_fails_its_query_only(
    children: Callable[[], list[psutil.Process]], desk: QueryDesk
) -> None:
    state = desk.submit(FOREVER)
    until(lambda: any(child.num_threads() > 4 for child in children()))
    killed = children()
    for child in killed:
        os.kill(child.pid, signal.SIGKILL)
    assert desk.wait(state.id, SECONDS).status == "FAILED"
    # Also the spare one, which the next query must not be given while it dies.
    until(lambda: not any(lives(child) for child in killed))
    assert ask(desk, THREE).status == "SUCCEEDED"


def test_listeners_hear_every_change(desk: QueryDesk) -> None:
    heard: list[QueryState] = []
    ended = threading.Event()

    def listen(state: QueryState) -> None:
        heard.append(state)
        if not state.running:
            ended.set()

    def fail(state: QueryState) -> None:
        raise ValueError(state.id)

    desk.on_change(fail)
    end = desk.on_change(listen)
    state = ask(desk, THREE)
    assert ended.wait(SECONDS)
    assert [(one.id, one.status, one.started is not None) for one in heard] == [
        (state.id, "RUNNING", False),
        (state.id, "RUNNING", True),
        (state.id, "SUCCEEDED", True),
    ]
    end()
    ask(desk, THREE)
    assert len(heard) == 3


def test_a_closed_desk_stops_what_runs_and_takes_nothing(
    children: Callable[[], list[psutil.Process]], lake: Lake, tmp_path: Path
) -> None:
    with another(lake, tmp_path, at_once=1) as desk:
        running, waiting = desk.submit(FOREVER), desk.submit(THREE)
        until(lambda: desk.state(running.id).started is not None)
        desk.close()
        with pytest.raises(Busy):
            desk.submit(THREE)
        assert not children()
        assert not (tmp_path / ".lakehead/dev/console").exists()
    with another(lake, tmp_path) as desk:
        assert [one.status for one in desk.history()] == ["CANCELLED", "CANCELLED"]
        assert {one.id for one in desk.history()} == {running.id, waiting.id}


def test_the_doctor_tells_what_confines_queries(lake: Lake) -> None:
    (check,) = [one for one in lake.doctor() if one.name == "queries"]
    held = f"Landlock (ABI {landlock.abi()})" if landlock.abi() else "this system has no Landlock"
    assert check.ok and held in check.detail


def test_one_desk_works_for_a_lake(lake: Lake, shared: QueryDesk) -> None:
    with pytest.raises(Busy, match="another console"):
        QueryDesk(lake)
    assert ask(shared, THREE).status == "SUCCEEDED"


# What is kept ----------------------------------------------------------------------------------------------------


def test_the_history_outlives_the_console_and_its_answers_do_not(lake: Lake, tmp_path: Path) -> None:
    with another(lake, tmp_path) as desk:
        first, second = ask(desk, THREE), ask(desk, "SELECT nope")
        assert desk.history() == [second, first]
        assert desk.history(limit=1) == [second]
    with another(lake, tmp_path) as desk:
        assert desk.history() == [second, replace(first, has_result=False)]
        assert desk.state(first.id).sql == THREE
        with pytest.raises(NotFound, match="was removed"):
            desk.page(first.id)
        with pytest.raises(NotFound, match="no such query"):
            desk.state("nobody")


def test_what_a_killed_console_left_is_cleared_away(lake: Lake, tmp_path: Path) -> None:
    with another(lake, tmp_path) as desk:
        state = ask(desk, THREE)
    with closing(History(tmp_path / ".lakehead/dev/console.db")) as history:
        history.note(replace(state, status="RUNNING", ended=None))
    left = tmp_path / ".lakehead/dev/console" / state.id
    left.mkdir(parents=True)
    (left / "result.parquet").touch()
    with another(lake, tmp_path) as desk:
        assert not left.exists()
        assert (desk.state(state.id).status, desk.state(state.id).error) == (
            "FAILED",
            "the console ended before the query did",
        )


def test_the_history_forgets_the_oldest(tmp_path: Path, shared: QueryDesk) -> None:
    state = ask(shared, THREE)
    with closing(History(tmp_path / "console.db", kept=3)) as history:
        for number in range(5):
            history.note(replace(state, id=f"q{number}"))
        history.note(replace(state, id="q3", status="FAILED"))
        assert [(one.id, one.status) for one in history.newest(10)] == [
            ("q4", "SUCCEEDED"),
            ("q3", "FAILED"),
            ("q2", "SUCCEEDED"),
        ]


def test_the_oldest_answers_make_room_by_count(lake: Lake, tmp_path: Path) -> None:
    with another(lake, tmp_path, kept_answers=2) as desk:
        states = [ask(desk, THREE) for _ in range(4)]
        assert [desk.state(one.id).has_result for one in states] == [False, False, True, True]
        with pytest.raises(NotFound, match="make room"):
            desk.page(states[0].id)
        assert desk.page(states[3].id).total == 3
        assert {path.name for path in (tmp_path / ".lakehead/dev/console").iterdir()} == {one.id for one in states[2:]}


def test_the_oldest_answers_make_room_by_bytes(lake: Lake, tmp_path: Path) -> None:
    with another(lake, tmp_path, kept_bytes=1) as desk:
        first, second = ask(desk, THREE), ask(desk, THREE)
        assert (desk.state(first.id).has_result, desk.state(second.id).has_result) == (False, True)


def test_an_answer_that_is_being_read_stays(lake: Lake, tmp_path: Path) -> None:
    with another(lake, tmp_path, kept_answers=1) as desk:
        first = ask(desk, THREE)
        pieces = desk.csv(first.id)
        ask(desk, THREE)
        assert b"".join(pieces).count(b"\r\n") == 4
        del pieces
        ask(desk, THREE)
        assert not desk.state(first.id).has_result


def test_a_download_that_nobody_reads_holds_nothing(lake: Lake, tmp_path: Path) -> None:
    with another(lake, tmp_path, kept_answers=1) as desk:
        first = ask(desk, THREE)
        del_me = desk.csv(first.id)
        del del_me
        ask(desk, THREE)
        assert not desk.state(first.id).has_result


# Pages -----------------------------------------------------------------------------------------------------------


def test_an_answer_is_read_page_by_page(shared: QueryDesk) -> None:
    state = ask(shared, "SELECT order_id FROM processed_orders ORDER BY 1")
    page = shared.page(state.id, offset=2, limit=2)
    assert (page.columns, page.rows, page.offset, page.total) == ((("order_id", "bigint"),), ((1003,), (1004,)), 2, 16)
    assert shared.page(state.id, 15, 100).rows == ((1021,),)
    assert shared.page(state.id, 10**30, 10**30).rows == ()
    assert len(shared.page(state.id, -5, 0).rows) == 1


def test_a_long_answer_keeps_its_order(shared: QueryDesk) -> None:
    sql = (
        "SELECT a.x * 1000 + b.y AS n FROM UNNEST(sequence(0, 299)) AS a (x)"
        " CROSS JOIN UNNEST(sequence(0, 999)) AS b (y) ORDER BY 1"
    )
    state = ask(shared, sql)
    for offset in (0, 20_470, 299_000):
        page = shared.page(state.id, offset, 1000)
        assert [row[0] for row in page.rows] == list(range(offset, offset + 1000))


def test_values_are_ready_for_json(shared: QueryDesk) -> None:
    sql = (
        "SELECT CAST(12345678901234567890.5 AS decimal(38,2)) AS d, 9007199254740992 AS fits, 9007199254740993 AS b,"
        " -9007199254740993 AS n, DATE '2025-01-02' AS day, TIMESTAMP '2025-01-02 03:04:05.600' AS ts,"
        " nan() AS nan, -infinity() AS inf, true AS yes, CAST(NULL AS varchar) AS none,"
        " ARRAY[1.5, NULL] AS list, map(ARRAY[DATE '2025-01-01'], ARRAY[9007199254740993]) AS pairs,"
        " DATE '12025-01-01' AS far, 1e0 AS one"
    )
    (row,) = rows(shared, sql)
    assert row == (
        "12345678901234567890.50",
        9007199254740992,
        "9007199254740993",
        "-9007199254740993",
        "2025-01-02",
        "2025-01-02T03:04:05.600Z",
        "nan",
        "-inf",
        True,
        None,
        ["1.5", None],
        {"2025-01-01": "9007199254740993"},
        "12025-01-01",
        1.0,
    )
    json.dumps(row, allow_nan=False)


def test_long_texts_are_cut_and_wide_rows_are_fewer(shared: QueryDesk) -> None:
    state = ask(shared, "SELECT lpad('x', 900000, 'y') AS t, ARRAY[lpad('x', 3000, 'y')] AS l FROM processed_orders")
    page = shared.page(state.id)
    assert len(page.rows) == 16 and page.total == 16
    assert (len(page.rows[0][0]), page.rows[0][0][-1]) == (2001, "…")
    assert page.rows[0][1].startswith('["yyy') and len(page.rows[0][1]) == 2001
    columns = ", ".join(f"lpad('x', 2500, 'y') AS c{n}" for n in range(400))
    wide = ask(shared, f"SELECT {columns} FROM processed_orders")
    assert 1 <= len(shared.page(wide.id).rows) < 16


def test_odd_names_are_columns_too(shared: QueryDesk) -> None:
    state = ask(shared, 'SELECT 1 AS a, 2 AS a, 3 AS "file_row_number", 4 AS "é ""x""", 5')
    assert [name for name, _ in shared.page(state.id).columns] == ["a", "a", "file_row_number", 'é "x"', "_col4"]
    assert shared.page(state.id).rows == ((1, 2, 3, 4, 5),)


def test_what_the_catalog_shows_is_an_answer(shared: QueryDesk) -> None:
    assert rows(shared, "SHOW TABLES") == [("processed_orders",), ("quarantine_orders",), ("raw_orders",)]
    assert rows(shared, "DESCRIBE processed_orders")[0][:3] == ("order_id", "bigint", "")


def test_the_parquet_file_holds_every_row(shared: QueryDesk) -> None:
    state = ask(shared, "SELECT order_id, total_amount FROM processed_orders")
    with shared.parquet(state.id) as stream, duckdb.connect() as session:
        found = session.execute(f"SELECT count(*), sum(total_amount) FROM read_parquet('{stream.name}')").fetchall()
    assert found == [
        (16, sum(Decimal(total) for (total,) in rows(shared, "SELECT total_amount FROM processed_orders")))
    ]


# CSV -------------------------------------------------------------------------------------------------------------


def test_csv_is_as_rfc_4180_has_it(shared: QueryDesk) -> None:
    sql = (
        "SELECT 'a,b' AS \"x,y\", 'say \"hi\"' AS q, 'two' || chr(13) || chr(10) || 'lines' AS l, '' AS empty,"
        " CAST(NULL AS varchar) AS none, -1 AS n, -1.50 AS d, 'é' AS u, true AS b, ARRAY['x'] AS a"
    )
    state = ask(shared, sql)
    text = b"".join(shared.csv(state.id))
    assert text == (
        b'"x,y",q,l,empty,none,n,d,u,b,a\r\n"a,b","say ""hi""","two\r\nlines",,,-1,-1.50,\xc3\xa9,true,"[""x""]"\r\n'
    )


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_text_becomes_a_formula(shared: QueryDesk, sign: str) -> None:
    state = ask(
        shared, f"""SELECT '{sign}1+1' AS "{sign}head", 'a{sign}' AS b, -5 AS c, CAST(-5 AS decimal(3,1)) AS d"""
    )
    names, cells = csv.reader(io.StringIO(b"".join(shared.csv(state.id)).decode(), newline=""))
    assert (names[0], cells) == (f"'{sign}head", [f"'{sign}1+1", f"a{sign}", "-5", "-5.0"])


def test_a_long_answer_comes_in_pieces(shared: QueryDesk) -> None:
    sql = "SELECT b.y FROM UNNEST(sequence(1, 10)) AS a (x) CROSS JOIN UNNEST(sequence(1, 10000)) AS b (y)"
    state = ask(shared, sql)
    pieces = list(shared.csv(state.id))
    assert len(pieces) > 5 and max(map(len, pieces)) < 100_000
    assert b"".join(pieces).count(b"\r\n") == 100_001
