"""A second proof reads only what has changed, and still says what a proof of everything says."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.damages import DAMAGES
from support.folders import in_memory
from support.jobs import DATASET, A, B, ChangeWatch, JobScene, local_scene, rows_of, text

from lakehead.errors import Busy
from lakehead.etl import verify as verifying
from lakehead.etl.deletion import Eraser, Request
from lakehead.etl.proven import Proven, mark
from lakehead.etl.record import HEAD_BYTES
from lakehead.etl.verify import VerifyReport, about
from lakehead.model import ObjectVersion
from lakehead.storage import layout


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[JobScene]:
    with in_memory(tmp_path) as folder:
        yield local_scene(folder / "lake")


def again(scene: JobScene, **options: Any) -> VerifyReport:
    return scene.verify(proofs=scene.folder / "proofs.db", **options)


def told(report: VerifyReport) -> set[tuple[str, str]]:
    return {(one.kind, one.place) for one in (*report.findings, *report.pending, *report.notices)}


def test_nothing_is_read_twice_that_has_not_changed(scene: JobScene) -> None:
    for number in range(5):
        scene.load(f"{number}.csv", text((number, "1.00", "2025-01-01")))
    assert (again(scene).read, again(scene).read) == (5, 0)
    scene.load("1.csv", B)
    scene.load("new.csv", A)
    report = again(scene)
    assert report.ok and report.read == 2
    assert report.checked == scene.verify().checked == {"objects": 6, "records": 6, "files": 9, "rows": 9}
    assert again(scene, full=True).read == 6
    assert again(scene).read == 0


def test_a_thing_that_is_wrong_is_told_until_it_is_mended(scene: JobScene) -> None:
    record = scene.load("x.csv", A).record
    again(scene)
    scene.store.delete(scene.bucket, record.files[0].key)
    for _ in range(3):
        report = again(scene)
        assert told(report) == {("missing_file", record.files[0].key)} and report.read
    source = record.source
    scene.run(ObjectVersion(source.bucket, source.key, source.etag), force=True)
    assert told(again(scene)) == set()
    assert again(scene).read == 0


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_where_all_was_proven_before(scene: JobScene, name: str) -> None:
    scene.load("other.csv", B)
    version = scene.land("x.csv", A)
    record = scene.run(version).record
    assert told(again(scene)) == set()
    damage, expected = DAMAGES[name]
    damage(scene, version, record)
    assert {one.kind for one in again(scene).findings} == expected
    assert told(again(scene)) == told(scene.verify())


def test_bytes_that_rot_unseen_are_found_by_looking_again_at_the_oldest(
    scene: JobScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = scene.load("x.csv", A).record
    again(scene)
    path = scene.store.local_path(scene.bucket, record.files[0].key)
    assert path is not None
    rotten = bytearray(path.read_bytes())
    rotten[6] ^= 1

    path.write_bytes(bytes(rotten))
    # As if the file system had not told of the change.
    proven = Proven(scene.folder / "proofs.db", about(scene.raw_bucket, scene.bucket, {DATASET: scene.contract}))
    info = scene.store.head(scene.bucket, record.files[0].key)
    with proven.write() as connection:
        connection.execute("UPDATE files SET mark = ? WHERE key = ?", (mark(info.fingerprint), info.key))
    proven.close()
    assert told(again(scene)) == set()
    monkeypatch.setattr(verifying, "RESTED", timedelta(seconds=-5))
    assert told(again(scene)) == {("wrong_bytes", record.files[0].key)}


def test_a_tombstone_that_rots_unseen_is_found_by_looking_again_at_the_oldest(
    scene: JobScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = scene.load("x.csv", A).record.source
    eraser = Eraser(raw=scene.store, processed=scene.store, raw_bucket=scene.raw_bucket, bucket=scene.bucket)
    eraser.delete([Request(DATASET, source.key, "x")], lambda _: None)
    assert told(again(scene)) == set()
    key = layout.commit_key(DATASET, source.id)
    scene.store.put(scene.bucket, key, b"rotten")
    # As if the file system had not told of the change.
    proven = Proven(scene.folder / "proofs.db", about(scene.raw_bucket, scene.bucket, {DATASET: scene.contract}))
    with proven.write() as connection:
        connection.execute("UPDATE records SET mark = ?", (mark(scene.store.head(scene.bucket, key).fingerprint),))
    proven.close()
    assert told(again(scene)) == set()
    monkeypatch.setattr(verifying, "RESTED", timedelta(seconds=-5))
    assert told(again(scene)) == told(scene.verify()) == {("damaged_record", key)}
    assert told(again(scene)) == {("damaged_record", key)}


def test_proofs_that_are_lost_damaged_or_of_another_lake_do_not_count(scene: JobScene, tmp_path: Path) -> None:
    scene.load("x.csv", A)
    proofs = scene.folder / "proofs.db"
    again(scene)
    proofs.write_bytes(b"no database at all, but long enough to be read as one" * 100)
    assert again(scene).read == 1
    for left in scene.folder.glob("proofs.db*"):
        left.unlink()
    assert (again(scene).read, again(scene).read) == (1, 0)
    other = local_scene(tmp_path / "other", raw_bucket="raw", bucket="processed")
    assert told(other.verify(proofs=proofs)) == set()
    narrowed = verifying.verify(
        contracts={},
        raw=scene.store,
        processed=scene.store,
        raw_bucket="raw",
        processed_bucket="processed",
        proofs=proofs,
    )
    assert narrowed.checked["records"] == 0
    assert again(scene).read == 1


def test_one_at_a_time(scene: JobScene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.load("x.csv", A)
    monkeypatch.setattr(verifying, "LOCK_SECONDS", 0.05)
    refused: list[Busy] = []

    def another(_: str) -> None:
        if not refused:
            with pytest.raises(Busy) as caught:
                again(scene)
            refused.append(caught.value)

    assert again(scene, progress=another).ok
    assert refused and refused[0].hint


def test_a_record_is_mended_by_somebody_else_before_it_is_set_aside(scene: JobScene) -> None:
    """Two repairs at once: the second must not take away what the first has loaded again."""
    version = scene.land("x.csv", A)
    record = scene.run(version).record
    place = layout.commit_key(DATASET, record.object_id)
    scene.store.put(scene.bucket, place, b"{")
    other: list[VerifyReport] = []

    def mended_meanwhile(_: str) -> None:
        if not other:
            other.append(scene.verify(repair=True))
            scene.run(version, force=True)

    seen = []

    class Slow(ChangeWatch):
        def list(self, bucket: str, prefix: str = "", **options: Any) -> Any:
            seen.append(prefix)
            if bucket == scene.raw_bucket:
                mended_meanwhile("")
            return scene.store.list(bucket, prefix, **options)

    slow = Slow(scene.store, lambda *_: None)
    report = verifying.verify(
        contracts={DATASET: scene.contract},
        raw=slow,
        processed=slow,
        raw_bucket=scene.raw_bucket,
        processed_bucket=scene.bucket,
        repair=True,
        stale_after=timedelta(),
    )
    assert other and seen
    assert [one.kind for one in report.findings] == ["damaged_record"] and report.ok
    assert scene.rows() == rows_of("x.csv", A)
    scene.sound()


@dataclass
class Life:
    """What happens to a lake by chance: work, accidents, and people."""

    scene: JobScene
    dice: random.Random
    counter: int = 0
    versions: dict[str, ObjectVersion] = field(default_factory=dict)

    def step(self) -> None:
        self.dice.choice(
            [self.load, self.load, self.load, self.land, self.take_raw, self.lose, self.orphan, self.damage, self.touch,
             self.delete, self.repair, self.claim]
        )()  # fmt: skip

    def name(self) -> str:
        return f"{self.dice.randrange(6)}.csv"

    def content(self) -> str:
        self.counter += 1
        return text((self.counter, "1.00", "2025-01-01"), (self.counter, "2.00", f"2025-01-0{self.dice.randint(1, 9)}"))

    def load(self) -> None:
        name = self.name()
        version = self.versions[name] = self.scene.land(name, self.content())
        place = layout.commit_key(DATASET, version.id)
        try:
            self.scene.run(version)
        except Exception as error:  # a damaged record is in the way
            assert "record" in str(error), place

    def land(self) -> None:
        name = self.name()
        self.versions[name] = self.scene.land(name, self.content())

    def take_raw(self) -> None:
        self.scene.store.delete(self.scene.raw_bucket, f"{DATASET}/ingest_date=2025-01-05/{self.name()}")

    def lose(self) -> None:
        files = self.scene.data_files()
        if files:
            self.scene.store.delete(self.scene.bucket, self.dice.choice(files))

    def orphan(self) -> None:
        self.counter += 1
        self.scene.store.put(
            self.scene.bucket, layout.data_key(DATASET, "day=2025-01-01", "e" * 64, f"{self.counter:012x}", 0), b"x"
        )

    def records(self) -> list[str]:
        return self.scene.keys("_lakehead/commits/")

    def damage(self) -> None:
        if self.records():
            self.scene.store.put(self.scene.bucket, self.dice.choice(self.records()), b"{")

    def touch(self) -> None:
        for key in self.scene.data_files()[:1]:
            path = self.scene.store.local_path(self.scene.bucket, key)
            assert path is not None
            path.touch()

    def delete(self) -> None:
        eraser = Eraser(raw=self.scene.store, processed=self.scene.store, raw_bucket="raw", bucket="processed")
        key = f"{DATASET}/ingest_date=2025-01-05/{self.name()}"
        eraser.delete([Request(DATASET, key, "x")], lambda _: None)

    def repair(self) -> None:
        for wanted in again(self.scene, repair=True).reload:
            info = self.scene.store.head(self.scene.raw_bucket, wanted.key)
            self.scene.run(ObjectVersion(info.bucket, info.key, info.etag, info.size), force=True)

    def claim(self) -> None:
        """A record that says other things than it did."""
        places = [place for place in self.records() if len(self.scene.store.get("processed", place)) > HEAD_BYTES + 10]
        if places:
            place = self.dice.choice(places)
            document = json.loads(self.scene.store.get("processed", place)[HEAD_BYTES:])
            document["rows_read"] += 1
            self.scene.store.put("processed", place, b" " * HEAD_BYTES + json.dumps(document).encode())


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 60))])
def test_after_whatever_happens_both_proofs_say_the_same(scene: JobScene, seed: int) -> None:
    life = Life(scene, random.Random(seed))
    for number in range(40):
        life.step()
        if number % 3 == 0:
            assert told(again(scene)) == told(scene.verify()), number
    report = again(scene)
    assert told(report) == told(scene.verify()) and report.checked == scene.verify().checked
