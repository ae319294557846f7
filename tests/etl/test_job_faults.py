"""Crashes, failing disks and races at every step of a job: a reader sees the old state or the new one, never both."""

from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.folders import in_memory
from support.jobs import DATASET, A, B, ChangeWatch, JobScene, Row, SmallEngine, local_scene, rows_of, text
from support.killer import Killer

from lakehead.errors import ObjectChanged, StorageUnavailable, TransientError
from lakehead.etl.commit import list_commits
from lakehead.model import ObjectVersion

TESTS = Path(__file__).resolve().parents[1]
C = text((9, "9.00", "2025-01-09"))
LEFT_BY_A_CRASH = {"stale_staging", "orphan_file"}


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    with Killer() as made:
        yield made


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the system has one: a kill shows the same there."""
    with in_memory(tmp_path) as folder:
        yield folder


@pytest.fixture
def scene(memory: Path) -> JobScene:
    return local_scene(memory / "lake")


def copies(scene: JobScene, *, every: int = 1) -> Iterator[tuple[int, JobScene]]:
    """The scene as it is now, again and again, with 1, 1 + every, ..."""
    template = scene.folder
    for number in itertools.count(1, every):
        root = template.parent / f"copy-{number}"
        shutil.copytree(template, root, symlinks=True)
        yield number, replace(local_scene(root), contract=scene.contract)
        shutil.rmtree(root)


def check_after_the_crash(scene: JobScene, old: list[Row], new: list[Row]) -> None:
    assert scene.rows() in (old, new)
    assert {finding.kind for finding in scene.verify().findings} <= LEFT_BY_A_CRASH


def check_ended_right(scene: JobScene, new: list[Row]) -> None:
    assert scene.rows() == new
    assert {finding.kind for finding in scene.verify(repair=True).findings} <= {"stale_staging"}
    scene.sound()


@pytest.mark.parametrize(
    ("before", "content", "force", "every"),
    [(None, A, False, 2), (A, B, False, 1), (A, A, True, 3)],
    ids=["first", "rewrite", "replay"],
)
def test_killed_at_any_change_then_run_again(
    scene: JobScene, killer: Killer, before: str | None, content: str, force: bool, every: int
) -> None:
    if before is not None:
        scene.load("x.csv", before)
    version = scene.land("x.csv", content)
    old, new = scene.rows(), rows_of("x.csv", content)
    outcomes = set()
    for number, copy in copies(scene, every=every):
        if not killer.run(copy.folder, [version], kill_at=number, force=force):
            check_ended_right(copy, new)
            assert number > 20
            break
        check_after_the_crash(copy, old, new)
        outcome = copy.run(version, execution="killed", force=force)
        outcomes.add(outcome.outcome)
        assert outcome.record.execution == "killed"
        check_ended_right(copy, new)
    assert outcomes == ({"committed"} if force else {"committed", "unchanged"})


def test_killed_at_any_change_then_a_newer_version(scene: JobScene, killer: Killer) -> None:
    scene.load("x.csv", A)
    version = scene.land("x.csv", B)
    for number, copy in copies(scene, every=2):
        if not killer.run(copy.folder, [version], kill_at=number):
            break
        newest = copy.land("x.csv", C, sequencer=1 << 71)
        assert copy.run(newest).outcome == "committed"
        assert copy.rows() == rows_of("x.csv", C)
        assert {finding.kind for finding in copy.verify(repair=True).findings} <= LEFT_BY_A_CRASH
        copy.sound()


# Failing disks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_at_any_change_is_told_and_a_retry_succeeds(
    scene: JobScene, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    scene.load("x.csv", A)
    version = scene.land("x.csv", B)
    old, new = scene.rows(), rows_of("x.csv", B)
    for number, copy in copies(scene):
        with monkeypatch.context() as patch:
            count = fail_at(patch, number, code)
            try:
                copy.run(version)
            except StorageUnavailable as error:
                assert error.hint
        if count() < number:
            break
        check_after_the_crash(copy, old, new)
        assert copy.run(version).outcome in ("committed", "unchanged")
        check_ended_right(copy, new)


def fail_at(patch: pytest.MonkeyPatch, number: int, code: int) -> Callable[[], int]:
    """Let the n-th fsync, link, rename, unlink or mkdir fail. Returns how many there were."""
    seen = itertools.count(1)
    last = 0

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def change(*arguments: Any, **options: Any) -> Any:
            nonlocal last
            last = next(seen)
            if last == number:
                raise OSError(code, os.strerror(code))
            return real(*arguments, **options)

        return change

    for name in ("fsync", "link", "rename", "mkdir", "unlink"):
        patch.setattr(os, name, failing(getattr(os, name)))
    return lambda: last


def test_a_store_that_fails_at_any_change_leaves_one_state(scene: JobScene) -> None:
    scene.load("x.csv", A)
    version = scene.land("x.csv", B)
    old, new = scene.rows(), rows_of("x.csv", B)

    for number, copy in copies(scene):

        def fail(seen: int, change: str, number: int = number) -> None:
            if seen == number:
                raise StorageUnavailable("injected", change=change)

        watch = ChangeWatch(copy.store, fail)
        try:
            copy.run(version, store=watch)
        except TransientError:
            check_after_the_crash(copy, old, new)
            copy.run(version)
        check_ended_right(copy, new)
        if watch.changes < number:
            break


def test_files_are_in_place_before_the_record_and_deleted_after_it(scene: JobScene) -> None:
    scene.load("x.csv", A)
    changes: list[str] = []
    version = scene.land("x.csv", B)
    scene.run(version, store=ChangeWatch(scene.store, lambda _, change: changes.append(change)))
    kinds = [change.split()[0] for change in changes if "_lakehead/content" not in change]
    assert kinds == ["move", "move", "put", "delete", "delete", "delete"]


# Races --------------------------------------------------------------------------------------------------------------


def at_once(*works: Callable[[], object]) -> list[object]:
    """Run all at the same time. Returns what each gave or raised."""
    ended: list[object] = [None] * len(works)
    barrier = threading.Barrier(len(works))

    def work(number: int) -> None:
        barrier.wait(10)
        try:
            ended[number] = works[number]()
        except Exception as error:
            ended[number] = error

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return ended


def test_the_same_version_by_many_at_once_lands_once(scene: JobScene) -> None:
    version = scene.land("x.csv", A)
    ended = at_once(*[lambda: scene.run(version) for _ in range(4)])
    outcomes = [getattr(one, "outcome", one) for one in ended]
    assert sorted(map(str, outcomes)) == ["committed", "unchanged", "unchanged", "unchanged"]
    scene.sound()
    assert scene.rows() == rows_of("x.csv", A)


def test_many_objects_at_once_are_all_there(scene: JobScene) -> None:
    contents = {f"{n}.csv": text((n, f"{n}.00", "2025-01-01")) for n in range(8)}
    versions = {name: scene.land(name, content) for name, content in contents.items()}
    ended = at_once(*[partial(scene.run, version) for version in versions.values()])
    assert all(getattr(one, "outcome", one) == "committed" for one in ended), ended
    assert scene.rows() == sorted(row for name, content in contents.items() for row in rows_of(name, content))
    scene.sound()


def test_a_replay_beside_a_rewrite_ends_with_the_newest(scene: JobScene) -> None:
    for number in range(4):
        first = scene.land("x.csv", A)
        scene.run(first)
        second = scene.land("x.csv", B)
        ended = at_once(partial(scene.run, second), partial(scene.run, first, force=True))
        assert getattr(ended[0], "outcome", ended[0]) == "committed", number
        assert isinstance(ended[1], ObjectChanged) or getattr(ended[1], "outcome", "") == "superseded"
        assert scene.rows() == rows_of("x.csv", B)
        scene.sound()


def test_refuse_holds_between_two_at_once(scene: JobScene) -> None:
    strict = scene.with_contract(on_duplicate_content="refuse")
    for number in range(4):
        content = text((number, "1.00", "2025-01-01"))
        versions = [strict.land(f"{number}-{name}.csv", content) for name in "ab"]
        ended = at_once(*[partial(strict.run, version) for version in versions])
        assert sorted(getattr(one, "outcome", type(one).__name__) for one in ended) == ["DuplicateContent", "committed"]
    assert strict.verify(deep=True).findings == ()
    assert len(strict.rows()) == 4


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations([0, 1, 2, 0, 1, 2, 2]), seed=st.integers(0, 1000))
def test_events_in_any_order_while_the_object_changes(memory: Path, order: list[int], seed: int) -> None:
    """Versions land one after the other while their events come repeated and in any order."""
    root = memory / f"{seed}-{random.random()}"
    root.mkdir()
    scene, contents = local_scene(root), [A, B, C]
    versions: list[ObjectVersion] = []
    dice = random.Random(seed)
    waiting = list(order)
    while waiting:
        if len(versions) < 3 and (dice.random() < 0.5 or all(event >= len(versions) for event in waiting)):
            versions.append(scene.land("x.csv", contents[len(versions)]))
            continue
        event = next(one for one in waiting if one < len(versions))
        waiting.remove(event)
        try:
            scene.run(versions[event])
        except ObjectChanged:
            assert event < len(versions) - 1
    assert scene.rows() == rows_of("x.csv", C)
    scene.sound()
    shutil.rmtree(root)


# Mutations that these tests have to notice --------------------------------------------------------------------------


def test_the_checks_notice_a_record_that_comes_before_its_data(scene: JobScene) -> None:
    """Control: with the record first, a crash in between shows rows that are not there."""
    version = scene.land("x.csv", A)

    class Hasty(ChangeWatch):
        def move_files(self, bucket: str, moves: Any) -> list[Any]:
            held.extend(moves)
            return [None for _ in moves]

    held: list[Any] = []
    scene.run(version, store=Hasty(scene.store, lambda *_: None))
    assert held
    assert {finding.kind for finding in scene.verify().findings} == {"missing_file"}
    assert [found.key for found in scene.verify().reload] == [version.key]
    scene.run(version, force=True)
    scene.sound()


def test_the_checks_notice_names_by_chance(scene: JobScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: with random names, a rerun after a crash leaves the first try's files behind."""
    version = scene.land("x.csv", A)

    def fail(_: int, change: str) -> None:
        if change.startswith("put _lakehead/commits"):
            raise StorageUnavailable("injected")

    with pytest.raises(StorageUnavailable):
        scene.run(version, store=ChangeWatch(scene.store, fail))
    with monkeypatch.context() as patch:
        patch.setattr("lakehead.storage.layout.version_digest", lambda *_: os.urandom(6).hex())
        scene.run(version)
    assert {finding.kind for finding in scene.verify().findings} == {"orphan_file"}
    assert len(scene.data_files()) == 2 * sum(len(one.keys) for one in list_commits(scene.store, "processed", DATASET))


def test_the_engine_is_asked_once_for_a_version(scene: JobScene) -> None:
    engine = SmallEngine()
    version = scene.land("x.csv", A)
    for _ in range(3):
        scene.run(version, engine=engine)
    assert engine.loads == 1
