from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.journals import WORK, Clock, chain, plan, task, types

from lakehead.errors import ExecutionNotFound
from lakehead.workflow import queries
from lakehead.workflow.execution import Execution, micros
from lakehead.workflow.journal import ExecutionFilter, Journal, Start
from lakehead.workflow.worker import Worker

STATUSES = ("RUNNING", "SUCCEEDED", "FAILED")
BEGIN = datetime.fromisoformat("2026-01-01T00:00:00Z")


def fill(journal: Journal, count: int, seed: int = 1) -> None:
    """Executions as the journal would have stored them, several to a moment, the clock set back once."""
    draw = random.Random(seed)
    rows, labels = [], []
    for number in range(1, count + 1):
        status = draw.choice(STATUSES)
        created = micros(BEGIN + timedelta(seconds=(number if number < count // 2 else number - count // 3) // 3))
        its = {"dataset": draw.choice(["a", "b"]), "key": f"k{draw.randrange(count // 4 + 1)}"}
        name = f"{draw.choice(['load', 'replay'])}-{number:06}"
        rows.append((number, name, status, json.dumps(its), created, None if status == "RUNNING" else created + 1))
        labels += [(number, label, value, status, created) for label, value in its.items()]

    def write(connection: Any) -> None:
        connection.executemany(
            "INSERT INTO executions (number, name, status, labels, created, ended, machine, definition, input)"
            " VALUES (?, ?, ?, ?, ?, ?, 'm', 'd', '1')",
            rows,
        )
        connection.executemany("INSERT INTO labels VALUES (?, ?, ?, ?, ?)", labels)

    journal.database.write(write)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    with Journal(tmp_path_factory.mktemp("filled") / "workflow.db") as journal:
        fill(journal, 600)
        yield journal


moments = st.integers(-10, 210).map(lambda seconds: BEGIN + timedelta(seconds=seconds))
labels = st.fixed_dictionaries({}, optional={"dataset": st.sampled_from("abc"), "key": st.sampled_from(["k1", "k2"])})
filters = st.builds(
    ExecutionFilter,
    status=st.sampled_from([None, *STATUSES]),
    labels=labels,
    since=st.none() | moments,
    until=st.none() | moments,
    name_prefix=st.sampled_from(["", "l", "replay-", "load-0001", "x"]),
)


def fits(wanted: ExecutionFilter, found: Execution) -> bool:
    return (
        wanted.status in (None, found.status)
        and wanted.labels.items() <= found.labels.items()
        and (wanted.since is None or found.started >= wanted.since)
        and (wanted.until is None or found.started < wanted.until)
        and found.name.startswith(wanted.name_prefix)
    )


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=filters, size=st.integers(1, 90))
def test_pages_together_are_what_the_filter_says(journal: Journal, wanted: ExecutionFilter, size: int) -> None:
    everything = journal.executions(limit=1000)
    assert len(everything) == 600
    order = (lambda e: e.name) if wanted.name_prefix else (lambda e: (-micros(e.started), -e.number))
    expected = sorted((found for found in everything if fits(wanted, found)), key=order)
    found: list[Execution] = []
    while True:
        after = found[-1].name if found else None
        with journal.database.read() as connection:
            page = queries.page(connection, wanted, size, after)
        found += page
        if len(page) < size:
            break
    assert found == expected


def test_counts(journal: Journal) -> None:
    everything = journal.executions(limit=1000)
    for labels in ({}, {"dataset": "a"}, {"dataset": "a", "key": "k1"}, {"dataset": "c"}):
        fitting = [found for found in everything if labels.items() <= found.labels.items()]
        expected = {status: sum(found.status == status for found in fitting) for status in STATUSES}
        assert journal.counts(labels=labels) == {status: count for status, count in expected.items() if count}
        assert journal.count(labels=labels) == len(fitting)
        assert journal.count("FAILED", labels=labels) == expected["FAILED"]


def test_after_an_execution_that_is_gone(journal: Journal) -> None:
    with pytest.raises(ExecutionNotFound):
        journal.executions(after="nobody")


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    with Journal(tmp_path_factory.mktemp("big") / "workflow.db") as journal:
        fill(journal, 20_000)
        yield journal


class TestAtScale:
    """Not how long it takes, which depends on the machine, but how SQLite goes about it."""

    @pytest.mark.parametrize(
        ("wanted", "index"),
        [
            (ExecutionFilter(), "executions_created"),
            (ExecutionFilter(status="FAILED"), "executions_status"),
            (ExecutionFilter(since=BEGIN), "executions_created"),
            (ExecutionFilter(status="FAILED", since=BEGIN), "executions_status"),
            (ExecutionFilter(labels={"dataset": "a"}), "labels_value"),
            (ExecutionFilter(labels={"dataset": "a", "key": "k1"}), "labels_value"),
            (ExecutionFilter(labels={"dataset": "a"}, status="FAILED"), "labels_value_status"),
            (ExecutionFilter(labels={"dataset": "a"}, since=BEGIN), "labels_value"),
            (ExecutionFilter(labels={"dataset": "a"}, status="FAILED", until=BEGIN), "labels_value_status"),
            (
                ExecutionFilter(labels={"dataset": "a", "key": "k1"}, status="FAILED", until=BEGIN),
                "labels_value_status",
            ),
            (ExecutionFilter(name_prefix="load"), "sqlite_autoindex_executions_1"),
            (ExecutionFilter(name_prefix="load", status="FAILED"), "executions_status_name"),
        ],
    )
    @pytest.mark.parametrize("after", [None, "first"])
    def test_a_page_walks_an_index_in_order(
        self, big: Journal, wanted: ExecutionFilter, index: str, after: str | None
    ) -> None:
        if after is not None:
            after = big.executions(limit=1)[0].name
        with big.database.read() as connection:
            sql, values = queries.page_query(connection, wanted, 50, after)
        steps = plan(big, sql, values)
        assert f"INDEX {index} " in steps.splitlines()[0] + " "
        assert "TEMP B-TREE" not in steps
        # The plan of a SCAN is only good where it stops after the page: the newest executions.
        if wanted != ExecutionFilter() or after is not None:
            assert "SCAN" not in steps

    def test_of_two_labels_the_rarer_one_leads(self, big: Journal) -> None:
        with big.database.read() as connection:
            for labels in ({"dataset": "a", "key": "k1"}, {"key": "k1", "dataset": "a"}):
                _, values = queries.page_query(connection, ExecutionFilter(labels=labels), 50)
                assert values[:2] == ["key", "k1"]

    @pytest.mark.parametrize(
        ("sql", "index"),
        [
            ("SELECT execution, timer FROM timers WHERE due <= 1 ORDER BY due LIMIT 5", "timers_due"),
            ("SELECT execution, task FROM tasks WHERE deadline <= 1 ORDER BY deadline LIMIT 5", "tasks_deadline"),
            ("SELECT execution FROM tasks WHERE silent_until <= 1 ORDER BY silent_until LIMIT 5", "tasks_silent"),
            (
                "SELECT resource FROM tasks WHERE phase = 0 AND resource > 'a' ORDER BY resource LIMIT 1",
                "tasks_pending",
            ),
            (
                "SELECT task FROM tasks WHERE phase = 0 AND resource = 'a' ORDER BY execution, task LIMIT 5",
                "tasks_pending",
            ),
            ("SELECT 1 FROM tasks WHERE owner = 1", "tasks_owner"),
            ("SELECT task FROM tasks WHERE task_token = 'x' AND task_token <> ''", "tasks_token"),
            ("SELECT number FROM executions WHERE ended IS NOT NULL AND ended < 1 ORDER BY ended", "executions_ended"),
        ],
    )
    def test_the_workers_questions_have_an_index(self, big: Journal, sql: str, index: str) -> None:
        steps = plan(big, sql, [])
        assert f"INDEX {index}" in steps
        assert "SCAN" not in steps
        assert "TEMP B-TREE" not in steps

    @pytest.mark.parametrize(
        ("ask", "index"),
        [
            (lambda c: queries.count(c, "RUNNING", {"dataset": "a"}), "COVERING INDEX labels_value_status"),
            (lambda c: queries.newest_end(c, "SUCCEEDED", "dataset", "a"), "COVERING INDEX labels_value_status"),
            (lambda c: queries.newer_ends(c, (BEGIN, 7), 50), "COVERING INDEX executions_ended"),
            (lambda c: queries.older_ends(c, (BEGIN, 7), BEGIN, 50), "COVERING INDEX executions_ended"),
            (lambda c: queries.ended(c, [1, 2], ["rows"]), "INTEGER PRIMARY KEY"),
            (lambda c: queries.redriven(c), "INDEX executions_status"),
        ],
    )
    def test_the_overviews_questions_have_an_index(
        self, big: Journal, ask: Callable[[sqlite3.Connection], object], index: str
    ) -> None:
        asked: list[str] = []
        with big.database.read() as connection:
            connection.set_trace_callback(asked.append)
            ask(connection)
            connection.set_trace_callback(None)
        steps = [step for step in plan(big, asked[0], []).splitlines() if step.startswith(("SEARCH", "SCAN"))]
        assert index in steps[0]
        assert all(step.startswith(("SEARCH", "SCAN (subquery")) for step in steps)

    @given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 300)), min_size=1, max_size=9))
    @settings(max_examples=10, deadline=None)
    def test_ends_in_their_order(self, big: Journal, places: list[tuple[int, int]]) -> None:
        """From any place on, in both directions, nothing is left out and nothing comes twice."""
        every = sorted((one.ended, one.number) for one in big.executions(limit=20_000) if one.ended)
        with big.database.read() as connection:
            for second, number in places:
                place = (BEGIN + timedelta(seconds=second, microseconds=1), number)
                later = [one for one in every if one > place]
                assert queries.newer_ends(connection, place, 30) == later[:30]
                earlier = [one for one in every if one[0] >= BEGIN and one < place]
                assert queries.older_ends(connection, place, BEGIN, 30) == earlier[::-1][:30]


class TestHistory:
    @pytest.fixture
    def one(self, tmp_path: Path) -> Iterator[Journal]:
        with Journal(tmp_path / "workflow.db") as journal:
            journal.start_executions([Start("one", chain(6), 1), Start("two", chain(6), 1)])
            assert Worker(journal, {WORK: lambda request: 1}).run_until_idle(20)
            yield journal

    def test_pages_have_no_gap_in_either_direction(self, one: Journal) -> None:
        whole = one.history("one")
        assert types(one, "one").total() == len(whole) == 32
        for size in range(1, 34):
            for newest_first in (False, True):
                found: list[Any] = []
                while page := one.history(
                    "one", after=found[-1]["id"] if found else 0, limit=size, newest_first=newest_first
                ):
                    assert len(page) <= size
                    found += page
                assert found == (whole[::-1] if newest_first else whole)


class TestPruning:
    def test_it_forgets_what_ended_before(self, tmp_path: Path) -> None:
        clock = Clock()
        with Journal(tmp_path / "workflow.db", clock=clock) as journal:
            journal.start_executions(Start(f"old{i}", chain(1), i, {"key": f"k{i}"}) for i in range(5))
            journal.start_execution("running", task("Other"), 1)
            for i in range(5):
                journal.stop(f"old{i}")
            clock.forward(days=10)
            journal.start_execution("new", chain(2), 1)
            journal.stop("new")
            assert journal.prune(clock.now - timedelta(days=10)) == 0
            assert journal.prune(clock.now - timedelta(days=9), chunk=2) == 5
            assert {found.name for found in journal.executions()} == {"running", "new"}
            assert journal.executions(labels={"key": "k1"}) == []
            assert journal.counts() == {"RUNNING": 1, "ABORTED": 1}
            with journal.database.read() as connection:
                for table, count in {"definitions": 2, "history": 3, "states": 2, "tasks": 1, "labels": 0}.items():
                    assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (count,), table
