"""Many jobs at once: each object ends as if its job had run alone, whatever becomes of the others."""

from __future__ import annotations

import errno
import itertools
import shutil
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.faulty import FaultyDisk
from support.folders import in_memory
from support.jobs import A, B, ChangeWatch, JobScene, SmallEngine, local_scene, rows_of, text
from support.killer import Killer

from lakehead.contract import Contract
from lakehead.errors import HeaderMismatch, LakeheadError, ObjectChanged, ObjectNotFound, StorageUnavailable
from lakehead.etl.base import EngineResult, JobOutcome, Load
from lakehead.etl.job import object_lock
from lakehead.model import ObjectVersion
from lakehead.storage import LocalStore

C = text((7, "7.00", "2025-01-07"))
CONTENTS = {"a.csv": A, "b.csv": B, "c.csv": C}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[JobScene]:
    with in_memory(tmp_path) as folder:
        yield local_scene(folder / "lake")


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    with Killer() as made:
        yield made


def outcomes(told: Sequence[JobOutcome | Exception]) -> list[str]:
    return [one.outcome if isinstance(one, JobOutcome) else type(one).__name__ for one in told]


def rows(contents: dict[str, str]) -> list[Any]:
    return sorted(row for name, content in contents.items() for row in rows_of(name, content))


class Counting(SmallEngine):
    """Counts the loads that came together."""

    def __init__(self) -> None:
        super().__init__()
        self.together: list[int] = []

    def load_together(self, loads: Sequence[Load], contract: Contract) -> list[EngineResult | LakeheadError]:
        self.together.append(len(loads))
        return super().load_together(loads, contract)


def test_many_objects_are_loaded_by_one_call(scene: JobScene) -> None:
    scene.engine = engine = Counting()
    versions = [scene.land(name, content) for name, content in CONTENTS.items()]
    told = scene.run_all(versions)
    assert outcomes(told) == ["committed"] * 3
    assert [one.record.source.key for one in told if isinstance(one, JobOutcome)] == [one.key for one in versions]
    assert (scene.rows(), engine.together) == (rows(CONTENTS), [3])
    scene.sound()
    assert outcomes(scene.run_all(versions)) == ["unchanged"] * 3
    assert engine.loads == 3


def test_what_one_job_leaves_is_what_many_leave(scene: JobScene, tmp_path: Path) -> None:
    other = local_scene(tmp_path / "other")
    versions = [scene.land(name, content) for name, content in CONTENTS.items()]
    scene.run_all(versions)
    for name, content in CONTENTS.items():
        other.load(name, content)
    assert scene.data_files() == other.data_files()
    for version in versions:
        ours, theirs = (
            replace(one.record(version), source=version, committed_at="", execution="", attempt="")
            for one in (scene, other)
        )
        assert ours == theirs


def test_the_fault_of_one_is_told_of_that_one(scene: JobScene) -> None:
    class Refusing(SmallEngine):
        def load(self, source: Path, contract: Contract, *, origin: ObjectVersion, staging: Path) -> EngineResult:
            if source.read_text() == B:
                raise HeaderMismatch("injected")
            return super().load(source, contract, origin=origin, staging=staging)

    scene.engine = Refusing()
    a, b, c = (scene.land(name, content) for name, content in CONTENTS.items())
    gone, rewritten = scene.land("gone.csv", A), scene.land("rewritten.csv", A)
    scene.store.delete(scene.raw_bucket, gone.key)
    scene.land("rewritten.csv", B)
    told = scene.run_all([a, gone, b, rewritten, c])
    assert [type(one) for one in told] == [JobOutcome, ObjectNotFound, HeaderMismatch, ObjectChanged, JobOutcome]
    assert scene.rows() == rows({"a.csv": A, "c.csv": C})


def test_an_object_that_comes_twice_is_committed_once(scene: JobScene) -> None:
    version, other = scene.land("a.csv", A), scene.land("b.csv", B)
    assert outcomes(scene.run_all([version, other, version])) == ["committed", "committed", "unchanged"]
    scene.sound()


def test_the_same_bytes_under_two_keys_are_told_to_count_twice(scene: JobScene) -> None:
    versions = [scene.land(name, content) for name, content in (("a.csv", A), ("b.csv", A), ("c.csv", C))]
    told = scene.run_all(versions)
    assert outcomes(told) == ["committed"] * 3
    assert [scene.record(version).warnings for version in versions] == [
        (),
        (f"the same bytes are loaded from {versions[0].key} too, so their rows count twice",),
        (),
    ]


def test_an_object_that_another_works_on_keeps_no_other_waiting(scene: JobScene) -> None:
    scene = replace(scene, store=LocalStore(scene.folder / "data", lock_seconds=0.05))
    versions = [scene.land(name, content) for name, content in CONTENTS.items()]
    with scene.store.lock(scene.bucket, object_lock(versions[0].id)):
        told = scene.run_all(versions)
    assert outcomes(told) == ["Busy", "committed", "committed"]
    assert outcomes(scene.run_all(versions)) == ["committed", "unchanged", "unchanged"]


def test_a_file_that_an_engine_hands_back_is_loaded_after_the_others(scene: JobScene) -> None:
    class HandingBack(SmallEngine):
        def load_together(self, loads: Sequence[Load], contract: Contract) -> list[Any]:
            return [None, *super().load_together(loads[1:], contract)]

    seen: list[int] = []
    scene.engine = HandingBack(before=lambda: seen.append(len(scene.keys("_lakehead/commits/"))))
    versions = [scene.land(name, content) for name, content in CONTENTS.items()]
    assert outcomes(scene.run_all(versions)) == ["committed"] * 3
    assert seen == [0, 0, 2]


def test_where_the_same_bytes_may_be_loaded_once_they_are(scene: JobScene) -> None:
    scene = scene.with_contract(on_duplicate_content="refuse")
    versions = [scene.land(name, A) for name in ("a.csv", "b.csv")] + [scene.land("c.csv", C)]
    assert outcomes(scene.run_all(versions)) == ["committed", "DuplicateContent", "committed"]


def test_an_engine_that_breaks_on_many_is_asked_for_each(scene: JobScene) -> None:
    class Breaking(SmallEngine):
        def load_together(self, loads: Sequence[Load], contract: Contract) -> list[EngineResult | LakeheadError]:
            raise RuntimeError("injected")

    scene.engine = Breaking()
    assert (
        outcomes(scene.run_all([scene.land(name, content) for name, content in CONTENTS.items()])) == ["committed"] * 3
    )
    scene.sound()


def test_an_object_that_changes_while_it_is_read_is_left_out(scene: JobScene) -> None:
    versions = [scene.land(name, content) for name, content in CONTENTS.items()]
    scene.engine = SmallEngine(after=lambda: scene.store.put(scene.raw_bucket, versions[1].key, C.encode()))
    assert outcomes(scene.run_all(versions)) == ["committed", "ObjectChanged", "committed"]
    assert scene.rows() == rows({"a.csv": A, "c.csv": C})


def test_a_record_that_another_wrote_in_between_is_decided_again(scene: JobScene) -> None:
    """As on a store without locks: another attempt commits the same version right before."""
    versions = [scene.land(name, content) for name, content in CONTENTS.items()]
    done: list[str] = []

    def intervene(_: int, change: str) -> None:
        if change.startswith("put _lakehead/commits") and versions[1].id in change and not done:
            done.append(change)
            unlocked.run(versions[1], execution="other")

    unlocked = replace(scene, store=Unlocked(scene.store, lambda *_: None))
    told = scene.run_all(versions, store=Unlocked(scene.store, intervene))
    assert outcomes(told) == ["committed", "unchanged", "committed"]
    assert scene.record(versions[1]).execution == "other"
    scene.sound()


class Unlocked(ChangeWatch):
    def lock(self, *_: str) -> Any:
        return nullcontext()

    def try_lock(self, _: str, *names: str) -> Any:
        return nullcontext(frozenset(names))


def test_a_store_that_fails_at_any_change_leaves_each_object_whole(scene: JobScene) -> None:
    versions = [scene.land(name, content) for name, content in CONTENTS.items()]
    for number, copy in copies(scene):

        def fail(seen: int, change: str, number: int = number) -> None:
            if seen >= number:
                raise StorageUnavailable("injected", change=change)

        watch = ChangeWatch(copy.store, fail)
        told = copy.run_all(versions, store=watch)
        check(copy, told)
        assert all(isinstance(one, JobOutcome) for one in copy.run_all(versions))
        copy.verify(repair=True)
        copy.sound()
        assert copy.rows() == rows(CONTENTS)
        if watch.changes < number:
            break


def test_killed_at_any_change_then_run_again(scene: JobScene, killer: Killer) -> None:
    versions = [scene.land(name, content) for name, content in CONTENTS.items()]
    ended: set[str] = set()
    for number, copy in copies(scene, every=2):
        if not killer.run(copy.folder, versions, kill_at=number):
            assert number > 30
            break
        seen = copy.rows()
        assert all([row for row in seen if row[0] == name] in ([], rows_of(name, CONTENTS[name])) for name in CONTENTS)
        ended.update(outcomes(copy.run_all(versions)))
        copy.verify(repair=True)
        copy.sound()
        assert copy.rows() == rows(CONTENTS)
    assert ended == {"committed", "unchanged"}


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_at_any_change_is_told(scene: JobScene, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """And what is told to be done lasts, whether it was done now or was found to be there."""
    versions = [scene.land(name, content) for name, content in CONTENTS.items()]
    for number, copy in copies(scene, every=3):
        disk = FaultyDisk(number, code)
        with monkeypatch.context() as patch:
            disk.install(patch)
            told = copy.run_all(versions)
            assert lost(copy, disk, told) == set()
            if disk.changes < number:
                break
            check(copy, told)
            retried = copy.run_all(versions)
            assert all(isinstance(one, JobOutcome) for one in retried)
            assert lost(copy, disk, retried) == set()
        copy.verify(repair=True)
        copy.sound()
        assert copy.rows() == rows(CONTENTS)


def lost(scene: JobScene, disk: FaultyDisk, told: Sequence[JobOutcome | Exception]) -> set[Path]:
    """What was told to be done, and a power loss now may take back."""
    keys = [key for one in told if isinstance(one, JobOutcome) for key in (one.commit_key, *one.record.keys)]
    return disk.would_lose(scene.folder / "data" / scene.bucket / key for key in keys)


def test_a_record_that_cannot_be_put_keeps_no_other_from_lasting(
    scene: JobScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = [scene.land(name, content) for name, content in CONTENTS.items()]
    name = f"{versions[1].id}.json"
    disk = FaultyDisk(code=errno.ENOSPC, fails=lambda change, path: (change, path.name) == ("link", name))
    disk.install(monkeypatch)
    told = scene.run_all(versions)
    assert outcomes(told) == ["committed", "StorageUnavailable", "committed"]
    assert lost(scene, disk, told) == set()


def test_records_that_were_put_and_not_fsynced_are_told_to_none(
    scene: JobScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is their job run again behind the error's back: it would find them, and take them for durable."""
    versions = [scene.land(name, content) for name, content in CONTENTS.items()]
    disk = FaultyDisk(code=errno.EIO, fails=lambda name, path: name == "fsync" and "commits" in path.parts)
    disk.install(monkeypatch)
    assert outcomes(scene.run_all(versions)) == ["StorageUnavailable"] * 3
    assert outcomes(scene.run_all(versions)) == ["StorageUnavailable"] * 3
    disk.fails = None
    retried = scene.run_all(versions)
    assert outcomes(retried) == ["unchanged"] * 3
    assert lost(scene, disk, retried) == set()


def test_a_late_fault_of_one_is_told_of_that_one(scene: JobScene) -> None:
    """A file that was replaced cannot be deleted, when all records are durable."""
    before = [scene.load(name, content).record for name, content in CONTENTS.items()]
    versions = [scene.land(name, text((number, "1.00", "2025-02-01"))) for number, name in enumerate(CONTENTS)]

    def fail(_: int, change: str) -> None:
        if change == f"delete {before[1].keys[0]}":
            raise StorageUnavailable("injected")

    told = scene.run_all(versions, store=ChangeWatch(scene.store, fail))
    assert outcomes(told) == ["committed", "StorageUnavailable", "committed"]
    assert outcomes(scene.run_all(versions)) == ["unchanged"] * 3
    scene.sound()


def test_a_fault_of_the_program_while_it_publishes_is_told(scene: JobScene) -> None:
    versions = [scene.land(name, content) for name, content in CONTENTS.items()]

    def fail(_: int, change: str) -> None:
        if change.startswith("put _lakehead/commits"):
            raise RuntimeError("injected")

    assert outcomes(scene.run_all(versions, store=ChangeWatch(scene.store, fail))) == ["RuntimeError"] * 3


def check(scene: JobScene, told: Sequence[JobOutcome | Exception]) -> None:
    """What was told to be committed can be read whole; of what was not, all or nothing."""
    seen = scene.rows()
    for (name, content), one in zip(CONTENTS.items(), told, strict=True):
        mine = [row for row in seen if row[0] == name]
        assert mine in ([], rows_of(name, content))
        assert mine or not isinstance(one, JobOutcome)
        assert isinstance(one, JobOutcome | StorageUnavailable)


def copies(scene: JobScene, *, every: int = 1) -> Iterator[tuple[int, JobScene]]:
    template = scene.folder
    for number in itertools.count(1, every):
        root = template.parent / f"copy-{number}"
        shutil.copytree(template, root, symlinks=True)
        yield number, local_scene(root)
        shutil.rmtree(root)
