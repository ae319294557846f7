"""People's SQL, at its worst: it writes nothing, leaks nothing, and ends soon. Every wall is also tried by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from support.hostile import CANARY, EXHAUSTING, RAW_EXHAUSTING, READS, WRITES, Watched
from support.room import Room, open_room, orders
from support.sandboxes import RAW_COMMAND, Ended, ask, open_room_sandbox

from lakehead.errors import QueryError
from lakehead.etl.duckdb_engine import DuckDBEngine
from lakehead.query import landlock
from lakehead.query.job import Limits
from lakehead.query.sandbox import GRACE_SECONDS, Sandbox
from lakehead.query.walls import address_bytes

LIMITS = Limits(memory="256MB", threads=2, seconds=1.0, spill_bytes=128 << 20)
SLACK_SECONDS = 20.0
"""How long a busy machine may take to start a process and to notice its end. What must end does so far earlier."""

needs_landlock = pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, loader: DuckDBEngine) -> Iterator[Room]:
    with open_room(tmp_path_factory.mktemp("hostile"), loader) as room:
        rows = ((number, f"2025-01-{number % 9 + 1:02}", number, f"{number}.25") for number in range(1, 60))
        room.load("a.csv", orders(*rows))
        room.crawl()
        yield room


@pytest.fixture(scope="module")
def watched(lake: Room) -> Iterator[Watched]:
    (lake.root / "home").mkdir()
    watched = Watched(lake.root, lake=lake.root / "data", catalog=lake.root / "state/catalog.db")
    yield watched
    watched.close()


@pytest.fixture(autouse=True)
def canaries_around(lake: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets in the environment, and a home where writing would be seen."""
    monkeypatch.setenv("HOME", str(lake.root / "home"))
    for name in ("LAKEHEAD_CANARY", "AWS_SECRET_ACCESS_KEY", "s3_secret_access_key"):
        monkeypatch.setenv(name, CANARY)


@pytest.fixture(scope="module")
def sandbox(lake: Room) -> Iterator[Sandbox]:
    sandbox = open_room_sandbox(lake.root, LIMITS)
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="module")
def raw(lake: Room) -> Iterator[Sandbox]:
    """Runs many statements in a process, and what DuckDB itself would refuse."""
    sandbox = open_room_sandbox(lake.root, replace(LIMITS, seconds=60.0), RAW_COMMAND)
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="module")
def hasty(lake: Room) -> Iterator[Sandbox]:
    """The same, for statements that must be stopped."""
    sandbox = open_room_sandbox(lake.root, LIMITS, RAW_COMMAND)
    yield sandbox
    sandbox.close()


def test_there_are_enough_of_them() -> None:
    assert len(WRITES) + len(READS) + len(EXHAUSTING) >= 76


def run_all(raw: Sandbox, room: Room, watched: Watched, statements: dict[str, str], walls: str) -> dict[str, Any]:
    """What came of each statement. One that broke its process is "broken", and the rest is run by another process."""
    found: dict[str, Any] = {}
    left = {name: watched.fill(sql) for name, sql in statements.items()}
    while left:
        job = {"walls": walls, "file": str(watched.file), "statements": list(left.values())}
        ended = ask(raw, json.dumps(job), room.root / "jobs")
        lines = (ended.folder / "outcomes.jsonl").read_text(encoding="utf-8").splitlines()
        told = {name: json.loads(line) for name, line in zip(left, lines, strict=False)}
        if len(told) < len(left):
            assert isinstance(ended.error, QueryError), ended
            told[list(left)[len(told)]] = {"broken": ended.told}
        found |= told
        left = {name: sql for name, sql in left.items() if name not in told}
    return found


def leaks(outcomes: dict[str, Any]) -> dict[str, Any]:
    """The outcomes that tell something from outside."""
    return {name: told for name, told in outcomes.items() if CANARY in str(told) or "root:x:" in str(told)}


@pytest.mark.parametrize("statements", [WRITES, READS], ids=["writing", "reading"])
def test_what_would_write_or_leak_is_refused(
    statements: dict[str, str], lake: Room, watched: Watched, raw: Sandbox
) -> None:
    before = watched.tree()
    outcomes = run_all(raw, lake, watched, statements, "engine")
    refused = ("Lakehead.QueryError", "Lakehead.UnsupportedSql")
    assert {name: told for name, told in outcomes.items() if told.get("error") not in refused} == {}
    assert leaks(outcomes) == {}
    assert watched.tree() == before
    assert watched.visits() == 0


@pytest.mark.parametrize("name", ["copy-in-with", "attach", "python-variable", "quoted-passwd", *EXHAUSTING])
def test_what_would_take_everything_ends(name: str, lake: Room, watched: Watched, sandbox: Sandbox) -> None:
    statement = EXHAUSTING.get(name) or watched.fill((WRITES | READS)[name])
    before = watched.tree()
    ended = ask(sandbox, statement, lake.root / "jobs")
    assert isinstance(ended.error, QueryError), ended
    assert watched.tree() == before
    check_bounds(ended)


def check_bounds(ended: Ended) -> None:
    assert ended.memory < address_bytes(LIMITS.memory, LIMITS.threads)
    assert ended.seconds < LIMITS.seconds + GRACE_SECONDS + SLACK_SECONDS


@needs_landlock
def test_landlock_alone_lets_nothing_out(raw: Sandbox, lake: Room, watched: Watched) -> None:
    """DuckDB gets the statements as they are, and refuses nothing by itself."""
    before = watched.tree()
    # What Python holds in that very process is nobody else's.
    statements = {name: sql for name, sql in (WRITES | READS).items() if "python" not in name}
    outcomes = run_all(raw, lake, watched, statements, "landlock")
    assert leaks(outcomes) == {}
    assert watched.tree() == before
    assert watched.visits() == 0
    assert sum("rows" in told for told in outcomes.values()) > 10, "nothing else refuses them"


def test_the_lock_down_of_duckdb_alone_lets_nothing_out(raw: Sandbox, lake: Room, watched: Watched) -> None:
    before = watched.tree()
    # DuckDB cannot allow a file to be read without allowing it to be written: that is left to the other walls.
    statements = {name: sql for name, sql in (WRITES | READS).items() if name != "copy-into-lake"}
    outcomes = run_all(raw, lake, watched, statements, "lock-down")
    assert leaks(outcomes) == {}
    for name in ("spill-elsewhere", "unlock", "allow", "replace-python"):
        assert "the configuration has been locked" in outcomes[name]["error"]
    assert watched.tree() == before
    assert watched.visits() == 0


@pytest.mark.parametrize("name", RAW_EXHAUSTING)
def test_the_limits_alone_end_what_would_take_everything(
    name: str, hasty: Sandbox, lake: Room, watched: Watched
) -> None:
    job = {"walls": "none", "file": str(watched.file), "statements": [RAW_EXHAUSTING[name]]}
    ended = ask(hasty, json.dumps(job), lake.root / "jobs")
    outcomes = (ended.folder / "outcomes.jsonl").read_text(encoding="utf-8")
    assert ended.error is not None or "error" in outcomes, outcomes
    check_bounds(ended)


def test_without_walls_they_write_and_leak(raw: Sandbox, lake: Room, watched: Watched) -> None:
    """The other tests would notice."""
    before = watched.tree()
    names = ("copy-in-with", "copy-explained", "attach-alone", "text", "through-proc", "python-variable")
    statements = {name: (WRITES | READS)[name] for name in names}
    outcomes = run_all(raw, lake, watched, statements, "none")
    assert set(leaks(outcomes)) == {"text", "through-proc", "python-variable"}
    changed = {name for name, seen in watched.tree().items() if before.get(name) != seen}
    assert changed == {"outside", "outside/w.csv", "outside/w.duckdb"}
    for name in ("w.csv", "w.duckdb"):
        (watched.outside / name).unlink()
