from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.journals import WORK, Clock, handlers, task, types

from lakehead import sqlite
from lakehead.errors import ConfigError, DefinitionError
from lakehead.sqlite import Migrations
from lakehead.workflow import database, load_definition
from lakehead.workflow.journal import Journal
from lakehead.workflow.migrations import MIGRATIONS
from lakehead.workflow.worker import Worker

NEXT = (
    *MIGRATIONS,
    ("ALTER TABLE executions ADD COLUMN note TEXT", "CREATE INDEX executions_note ON executions (note)"),
)


def migrate(connection: sqlite3.Connection, steps: Migrations = MIGRATIONS) -> None:
    sqlite.migrate(connection, steps, Path("workflow.db"))


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "workflow.db", isolation_level=None)
    yield connection
    connection.close()


def schema(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
    return [" ".join(sql.split()) for (sql,) in rows]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A journal of schema 1 with two running executions: one in a Parallel's Wait, one with a task to do."""
    path = tmp_path / "stored.db"
    connection = sqlite3.connect(path)
    connection.executescript((Path(__file__).parent / "journal-1.sql").read_text())
    connection.close()
    return path


def test_a_released_step_was_not_edited(connection: sqlite3.Connection, stored: Path) -> None:
    migrate(connection, MIGRATIONS[:1])
    before = sqlite3.connect(stored)
    assert schema(connection) == schema(before)
    before.close()


def test_executions_of_a_stored_journal_run_on(stored: Path, tmp_path: Path) -> None:
    clock = Clock()
    clock.forward(seconds=10)
    with Journal(stored, clock=clock) as journal:
        assert journal.counts() == {"RUNNING": 2}
        bound = {**handlers(tmp_path / "log"), WORK: lambda request: request.arguments}
        assert Worker(journal, bound).run_until_idle(20)
        assert journal.describe("waiting").output == {"x": 1}
        ended = journal.describe("everything")
        assert ended.status == "SUCCEEDED"
        assert (ended.output["doubled"], ended.output["both"]) == ([2, 4, 6], {"left": "left"})
        assert types(journal, "everything")["ParallelStateSucceeded"] == 1


def test_a_stored_document_runs_on_though_it_would_be_refused_today(stored: Path) -> None:
    before = sqlite3.connect(stored)
    (key, text) = before.execute(
        "SELECT hash, document FROM executions JOIN definitions ON definition = hash WHERE name = 'waiting'"
    ).fetchone()
    document = json.loads(text)
    (name,) = document["States"]
    document["States"][name]["Retry"] = [{"ErrorEquals": ["States.Misspelt"]}]
    with pytest.raises(DefinitionError, match=r"States\.Misspelt"):
        load_definition(document)
    before.execute("UPDATE definitions SET document = ? WHERE hash = ?", (json.dumps(document), key))
    before.commit()
    before.close()
    with Journal(stored, clock=Clock()) as journal:
        journal.stop("everything")
        assert Worker(journal, {WORK: lambda request: request.arguments}).run_until_idle(20)
        assert journal.describe("waiting").output == {"x": 1}


def test_a_document_that_cannot_be_run_any_more_fails_its_own_executions_only(stored: Path, tmp_path: Path) -> None:
    before = sqlite3.connect(stored)
    sql = (
        "UPDATE definitions SET document = '{}' WHERE hash = (SELECT definition FROM executions WHERE name = 'waiting')"
    )
    before.execute(sql)
    before.commit()
    before.close()
    clock = Clock()
    clock.forward(seconds=10)
    with Journal(stored, clock=clock) as journal:
        bound = {**handlers(tmp_path / "log"), WORK: lambda request: request.arguments}
        assert Worker(journal, bound).run_until_idle(20)
        assert (journal.describe("waiting").status, journal.describe("everything").status) == ("FAILED", "SUCCEEDED")
        assert "DefinitionError" in str(journal.describe("waiting").cause)


def test_executions_that_were_there_before_are_counted(stored: Path) -> None:
    with Journal(stored, clock=Clock()) as journal:
        assert (journal.counts(), journal.count("RUNNING"), journal.count("FAILED")) == ({"RUNNING": 2}, 2, 0)
        journal.stop("waiting")
        assert journal.counts() == {"RUNNING": 1, "ABORTED": 1}
        journal.redrive("waiting")
        assert journal.counts() == {"RUNNING": 2}


def test_labels_that_an_earlier_version_left_running_are_mended(stored: Path) -> None:
    before = sqlite3.connect(stored)
    sql = "UPDATE executions SET status = 'SUCCEEDED', ended = created WHERE name = 'waiting'"
    before.execute(sql)
    before.execute("INSERT OR REPLACE INTO labels VALUES (2, 'key', 'k', 'RUNNING', 0)")
    before.commit()
    before.close()
    with Journal(stored, clock=Clock()) as journal:
        assert journal.counts(labels={"key": "k"}) == {"SUCCEEDED": 1}
        assert journal.counts(labels={"dataset": "a/b"}) == {"RUNNING": 1}


def test_a_later_schema_reaches_a_running_execution(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "MIGRATIONS", NEXT)
    with Journal(stored, clock=Clock()) as journal:
        with journal.database.read() as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (len(NEXT),)
            assert connection.execute("SELECT note FROM executions").fetchall() == [(None,), (None,)]
        assert journal.stop("waiting").status == "ABORTED"


def test_migrating_twice_changes_nothing(connection: sqlite3.Connection) -> None:
    migrate(connection)
    before = schema(connection)
    migrate(connection)
    assert schema(connection) == before


def test_a_step_that_fails_leaves_the_file_as_it_was(connection: sqlite3.Connection) -> None:
    migrate(connection)
    before = schema(connection)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, (*NEXT, ("CREATE TABLE fine (a)", "CREATE TABLE executions (twice)")))
    assert schema(connection) == before
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    migrate(connection, NEXT)
    assert len(schema(connection)) == len(before) + 1


def test_a_file_of_a_newer_lakehead_is_refused(connection: sqlite3.Connection, tmp_path: Path) -> None:
    migrate(connection, NEXT)
    with pytest.raises(ConfigError, match="newer Lakehead"):
        Journal(tmp_path / "workflow.db")


def test_another_process_may_have_migrated_in_the_meantime(
    connection: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    really = sqlite.version

    def version(looking: sqlite3.Connection) -> int:
        found = really(looking)
        if not looks:
            looks.append(found)
            other = sqlite3.connect(tmp_path / "workflow.db", isolation_level=None)
            migrate(other)
            other.close()
        return found

    monkeypatch.setattr(sqlite, "version", version)
    migrate(connection)
    assert looks == [0]
    assert really(connection) == len(MIGRATIONS)


def test_a_new_journal_is_of_the_newest_schema(tmp_path: Path) -> None:
    with Journal(tmp_path / "new.db") as journal, journal.database.read() as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert journal.start_execution("one", task(), 1).running
