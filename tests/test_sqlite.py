"""SQLite files: what is committed, what is undone, and how faults are told."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from lakehead import sqlite
from lakehead.errors import Busy, StorageUnavailable

STEPS = (("CREATE TABLE t (x INTEGER PRIMARY KEY) STRICT",),)


@pytest.fixture
def database(tmp_path: Path) -> sqlite.Database:
    return sqlite.Database(tmp_path / "deep" / "file.db", STEPS)


def count(database: sqlite.Database) -> int:
    return int(database.rows("SELECT count(*) FROM t")[0][0])


def test_every_commit_reaches_the_disk(database: sqlite.Database) -> None:
    found = {name: database.rows(f"PRAGMA {name}")[0][0] for name in ("synchronous", "journal_mode", "foreign_keys")}
    assert found == {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1}


def test_a_transaction_is_all_or_nothing(database: sqlite.Database) -> None:
    with pytest.raises(KeyError), database.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        raise KeyError
    with pytest.raises(sqlite3.IntegrityError), database.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (1), (1)")
    assert count(database) == 0
    with database.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    assert count(database) == 1


def test_a_locked_file_is_busy(database: sqlite.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.0)
    other = sqlite.Database(database.path, STEPS)
    with (
        other.transaction(),
        pytest.raises(Busy, match=r"file\.db"),
        sqlite.Database(database.path, STEPS).transaction(),
    ):
        pass


def test_a_closed_file_says_so(database: sqlite.Database) -> None:
    database.close()
    with pytest.raises(StorageUnavailable, match="closed"):
        database.rows("SELECT 1")


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file.db").mkdir()
    with pytest.raises(StorageUnavailable, match="cannot be used"):
        sqlite.Database(tmp_path / "file.db", STEPS)


def test_a_fault_of_the_program_is_not_taken_for_one_of_the_disk(database: sqlite.Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        database.rows("SELECT * FROM absent")
