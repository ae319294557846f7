"""A worker process is killed at every commit; what comes after must not show it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from support import journals
from support.journals import WORK, FastClock, chain, notes, task, types

from lakehead.workflow.database import Database
from lakehead.workflow.journal import Journal, Start

ITEMS = [1, 2, 3]


@dataclass(frozen=True)
class Undisturbed:
    commits: int
    types: dict[str, int]
    output: object
    tokens: set[str]


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lakehead.workflow.worker"])
    return context


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    folder = tmp_path_factory.mktemp("undisturbed")
    commits = 0
    with pytest.MonkeyPatch.context() as patch:
        really = Database._commit

        def counted(self: Database) -> None:
            nonlocal commits
            commits += 1
            really(self)

        patch.setattr(Database, "_commit", counted)
        with Journal(folder / "workflow.db", clock=FastClock(time.time())) as journal:
            journals.start_and_run(journal, folder / "log", ITEMS)
            found = journal.describe("everything")
            assert found.status == "SUCCEEDED"
            tokens = {text for _, text in notes(folder / "log")}
            yield Undisturbed(commits, types(journal, "everything"), found.output, tokens)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_kill_at_any_commit_loses_and_doubles_nothing(
    tmp_path: Path, processes: ForkServerContext, undisturbed: Undisturbed, before: bool
) -> None:
    # How steps are grouped into commits depends on the threads, so a few points more than were counted are tried.
    killed = 0
    for commit in range(1, undisturbed.commits + 4):
        path, log, start = tmp_path / f"{commit}.db", tmp_path / f"{commit}.log", time.time()
        child = processes.Process(target=journals.die_at_commit, args=(path, log, start, ITEMS, commit, before))
        child.start()
        child.join(60)
        assert child.exitcode in (-signal.SIGKILL, 0)
        killed += child.exitcode != 0
        with Journal(path, clock=FastClock(start)) as journal:
            journals.start_and_run(journal, log, ITEMS)
            found = journal.describe("everything")
            assert (found.status, found.output) == ("SUCCEEDED", undisturbed.output), f"at commit {commit}"
            assert types(journal, "everything") == undisturbed.types, f"at commit {commit}"
        runs = notes(log)
        assert {token for _, token in runs} == undisturbed.tokens
        # At least once, and again only where the kill came between a run and its commit.
        assert all(runs.count(run) == 1 for run in runs)
    assert killed >= undisturbed.commits - 3


def test_workers_of_two_processes_share_a_journal(tmp_path: Path, processes: ForkServerContext) -> None:
    path, log = tmp_path / "workflow.db", tmp_path / "log"
    with Journal(path) as journal:
        definition = chain(4)
        definition["States"]["T0"]["Resource"] = f"{WORK}/meet"
        journal.start_executions(Start(f"e{i}", definition, i) for i in range(40))
        children = [processes.Process(target=journals.work_on, args=(path, log, 2)) for _ in range(2)]
        for child in children:
            child.start()
        for i in range(40):
            assert journal.wait_for(f"e{i}", 60).output == i
        for child in children:
            assert child.pid is not None
            os.kill(child.pid, signal.SIGTERM)
            child.join(30)
            assert child.exitcode == 0
        with journal.database.read() as connection:
            assert connection.execute("SELECT count(*) FROM workers").fetchone() == (0,)
            assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (0,)
    runs = notes(log)
    assert len(runs) == len({token for _, token in runs}) == 160
    assert {pid for pid, _ in runs} == {child.pid for child in children}


def test_a_killed_process_is_replaced_at_once_by_another(tmp_path: Path, processes: ForkServerContext) -> None:
    path, log = tmp_path / "workflow.db", tmp_path / "log"
    with Journal(path) as journal:
        # The first process holds its tasks for ever, because it waits for company.
        doomed = processes.Process(target=journals.work_on, args=(path, log, 2))
        doomed.start()
        journal.start_executions(Start(f"e{i}", task(resource=f"{WORK}/meet"), i) for i in range(8))
        end = time.monotonic() + 30
        while len(notes(log)) < 4 and time.monotonic() < end:
            time.sleep(0.01)
        assert doomed.pid is not None
        os.kill(doomed.pid, signal.SIGKILL)
        heir = processes.Process(target=journals.work_on, args=(path, log, 2))
        heir.start()
        for i in range(8):
            assert journal.wait_for(f"e{i}", 25).output == i
        doomed.join(30)
        assert heir.pid is not None
        os.kill(heir.pid, signal.SIGTERM)
        heir.join(30)
    runs = notes(log)
    first = {token for pid, token in runs if pid == doomed.pid}
    second = {token for pid, token in runs if pid == heir.pid}
    assert len(first) == 4
    assert second == {f"e{i}/{token.split('/')[1]}" for i in range(8) for token in list(first)[:1]}
