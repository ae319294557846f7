"""The proof over a whole lake: everything that can be wrong is planted, found, and mended where it can be."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.damages import DAMAGES, rewrite
from support.jobs import DATASET, A, B, ChangeWatch, JobScene, local_scene, rows_of

from lakehead.errors import StorageUnavailable
from lakehead.etl.base import CommitRecord
from lakehead.etl.record import HEAD_BYTES
from lakehead.model import ObjectVersion
from lakehead.storage import layout
from lakehead.storage.base import ObjectInfo


@pytest.fixture
def loaded(scene: JobScene) -> tuple[JobScene, ObjectVersion, CommitRecord]:
    scene.load("other.csv", B)
    version = scene.land("x.csv", A)
    return scene, version, scene.run(version).record


Loaded = tuple[JobScene, ObjectVersion, CommitRecord]


def kinds(scene: JobScene, **options: Any) -> set[str]:
    return {finding.kind for finding in scene.verify(**options).findings}


def mend(scene: JobScene) -> None:
    """What a lake does with a report: repair, then load again what the report says."""
    for wanted in scene.verify(repair=True).reload:
        found = scene.store.head(scene.raw_bucket, wanted.key)
        version = ObjectVersion(found.bucket, found.key, found.etag, found.size, "", found.version_id)
        scene.run(version, force=True)


def test_a_sound_lake_is_sound_and_counted(loaded: Loaded) -> None:
    scene, _, _ = loaded
    report = scene.verify(deep=True)
    assert report.ok
    assert (report.findings, report.pending, report.notices, report.reload) == ((), (), (), ())
    assert report.checked == {"objects": 2, "records": 2, "files": 5, "rows": 5}


def test_an_empty_lake_is_sound(scene: JobScene) -> None:
    assert scene.verify().ok


def test_what_has_landed_but_is_not_loaded_is_pending(loaded: Loaded) -> None:
    scene, version, _ = loaded
    new = scene.land("new.csv", A)
    scene.land("x.csv", B)
    report = scene.verify()
    assert report.ok
    assert {(found.kind, found.place) for found in report.pending} == {
        ("not_loaded", new.key),
        ("outdated", version.key),
    }


def test_what_is_no_file_to_load_is_left_alone(loaded: Loaded) -> None:
    scene, version, _ = loaded
    scene.store.put(scene.raw_bucket, f"{DATASET}/.part-of.csv", b"")
    scene.store.put(scene.raw_bucket, f"{DATASET}/notes.txt", b"")
    scene.store.put(scene.raw_bucket, "elsewhere/x.csv", b"")
    scene.store.delete(scene.raw_bucket, version.key)
    report = scene.verify()
    assert report.ok
    assert report.pending == ()
    assert {(found.kind, found.place) for found in report.notices} == {
        ("no_contract", "elsewhere/x.csv"),
        ("source_gone", version.key),
    }


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_mended_by_loading_again(loaded: Loaded, name: str) -> None:
    scene, version, record = loaded
    damage, expected = DAMAGES[name]
    damage(scene, version, record)
    report = scene.verify()
    assert not report.ok
    assert {finding.kind for finding in report.findings} == expected
    assert version.key in {wanted.key for wanted in report.reload}
    assert all(finding.fix for finding in report.findings)
    mend(scene)
    scene.sound()
    assert scene.rows() == sorted(rows_of("other.csv", B) + rows_of("x.csv", A))


def test_other_bytes_of_the_same_size_and_rows_are_found_when_looked_at_deeply(loaded: Loaded) -> None:
    scene, _, record = loaded
    one, two = (scene.store.get(scene.bucket, file.key) for file in record.files)
    changed = bytearray(one)
    changed[6] ^= 1
    scene.store.put(scene.bucket, record.files[0].key, bytes(changed))
    assert len(two) == len(one)
    assert kinds(scene) == set()
    assert kinds(scene, deep=True) == {"wrong_bytes"}


def test_two_records_may_not_claim_one_file(loaded: Loaded) -> None:
    scene, version, _ = loaded
    other = next(found for found in scene.keys("_lakehead/commits") if version.id not in found)
    stolen = json.loads(scene.store.get(scene.bucket, other)[HEAD_BYTES:])["files"]

    def claim(document: dict[str, Any]) -> None:
        document["files"] += stolen
        document["rows_committed"] += 2
        document["rows_read"] += 2

    rewrite(scene, version, claim)
    assert kinds(scene) == {"shared_file"}
    mend(scene)
    scene.sound()
    assert len(scene.rows()) == 4


@pytest.mark.parametrize("data", [b"", b"{}", b"[]"])
def test_a_damaged_record_is_set_aside_and_its_object_loaded_again(loaded: Loaded, data: bytes) -> None:
    scene, version, record = loaded
    key = layout.commit_key(DATASET, version.id)
    scene.store.put(scene.bucket, key, data)
    assert kinds(scene) == {"damaged_record"}
    assert all(scene.store.head(scene.bucket, file) for file in record.keys)
    mend(scene)
    scene.sound()
    (aside,) = scene.keys("_lakehead/damaged/")
    assert scene.store.get(scene.bucket, aside) == data
    assert len(scene.rows()) == 4


def test_a_record_about_another_object_is_damaged(loaded: Loaded) -> None:
    scene, version, _ = loaded
    rewrite(scene, version, lambda document: document["source"].update(key="sales/orders/z.csv"))
    assert "damaged_record" in kinds(scene)
    mend(scene)
    scene.sound()


def test_nothing_is_deleted_that_cannot_be_loaded_again(loaded: Loaded) -> None:
    scene, version, record = loaded
    scene.store.put(scene.bucket, layout.commit_key(DATASET, version.id), b"{")
    scene.store.delete(scene.raw_bucket, version.key)
    report = scene.verify(repair=True)
    assert not report.ok
    assert [(finding.kind, finding.repaired) for finding in report.findings] == [("damaged_record", False)]
    assert all(scene.store.head(scene.bucket, key) for key in record.keys)
    assert scene.store.get(scene.bucket, layout.commit_key(DATASET, version.id)) == b"{"


def test_orphans_are_found_and_removed_but_not_what_others_put_there(loaded: Loaded) -> None:
    scene, version, _ = loaded
    orphans = [
        layout.data_key(DATASET, "day=2025-01-01", version.id, "0" * 12, 0),
        layout.data_key(DATASET, "", "f" * 64, "0" * 12, 3),
        layout.quarantine_key(DATASET, version.id, "1" * 12),
    ]
    foreign = f"{DATASET}/day=2025-01-01/mine.parquet"
    for key in (*orphans, foreign):
        scene.store.put(scene.bucket, key, b"x")
    report = scene.verify()
    assert {(found.kind, found.place) for found in report.findings} == {
        *(("orphan_file", key) for key in orphans),
        ("foreign_file", foreign),
    }
    report = scene.verify(repair=True)
    assert {(found.kind, found.repaired) for found in report.findings} == {
        ("orphan_file", True),
        ("foreign_file", False),
    }
    assert not report.ok
    scene.store.delete(scene.bucket, foreign)
    scene.sound()
    assert len(scene.rows()) == 4


def test_without_locks_a_young_file_is_left_alone(scene: JobScene) -> None:
    scene.store.put(scene.bucket, layout.data_key(DATASET, "", "f" * 64, "0" * 12, 3), b"x")
    expected = {"orphan_file"} if scene.store.excludes else set()
    assert kinds(scene, stale_after=timedelta(hours=1)) == expected


def test_without_locks_a_file_written_again_since_it_was_listed_is_left_alone(
    scene: JobScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = layout.data_key(DATASET, "", "f" * 64, "0" * 12, 3)
    scene.store.put(scene.bucket, key, b"x")
    listed = scene.store.list

    def long_ago(bucket: str, prefix: str = "", **options: Any) -> Iterator[ObjectInfo]:
        for info in listed(bucket, prefix, **options):
            yield replace(info, last_modified=info.last_modified - timedelta(hours=2))

    monkeypatch.setattr(scene.store, "excludes", False)
    monkeypatch.setattr(scene.store, "list", long_ago)
    assert scene.verify(repair=True, stale_after=timedelta(hours=1)).findings == ()
    assert scene.keys(key) == [key]
    assert kinds(scene) == {"orphan_file"}


def test_staging_counts_once_nobody_has_touched_it(loaded: Loaded) -> None:
    scene, _, _ = loaded
    staging = scene.store.staging_dir(scene.bucket, "crashed")
    (staging / "0.parquet").write_bytes(b"x")
    assert kinds(scene, stale_after=timedelta(hours=1)) == set()
    assert kinds(scene) == {"stale_staging"}
    assert staging.exists()
    assert scene.verify(repair=True).ok
    assert not staging.exists()
    scene.sound()


def test_markers_of_replaced_bytes_are_dropped(loaded: Loaded) -> None:
    scene, version, record = loaded
    scene.load("x.csv", B.replace("3.00", "5.00"))
    old = layout.content_key(DATASET, record.content_sha256)
    assert old in scene.keys("_lakehead/content/")
    scene.sound()
    scene.verify(repair=True, stale_after=timedelta(seconds=-5))
    assert old not in scene.keys("_lakehead/content/")
    assert len(scene.keys("_lakehead/content/")) == 2
    del version


def test_progress_tells_every_object_and_record(loaded: Loaded) -> None:
    scene, version, _ = loaded
    told: list[str] = []
    scene.verify(progress=told.append)
    assert len(told) == 4
    assert version.key in told


def test_a_damaged_marker_does_not_stop_a_repair(loaded: Loaded) -> None:
    scene, _, record = loaded
    scene.store.put(scene.bucket, layout.content_key(DATASET, record.content_sha256), b"\xff")
    assert scene.verify(repair=True, stale_after=timedelta(seconds=-5)).ok


# Beside a working lake, on a local store ----------------------------------------------------------------------------


def test_paths_that_no_key_can_name_are_told(tmp_path: Path) -> None:
    scene = local_scene(tmp_path)
    folder = tmp_path / "data" / "raw" / DATASET
    folder.mkdir(parents=True)
    (folder / os.fsdecode(b"latin-\xe9.csv")).write_text(A)
    (folder / "link.csv").symlink_to(folder / "x")
    report = scene.verify()
    assert report.ok
    assert [finding.kind for finding in report.notices] == ["unusable_path", "unusable_path"]


def test_what_a_crash_before_the_record_left_is_found(tmp_path: Path) -> None:
    scene = local_scene(tmp_path)
    version = scene.land("x.csv", A)

    def fail(_: int, change: str) -> None:
        if change.startswith("put _lakehead/commits"):
            raise StorageUnavailable("injected")

    with pytest.raises(StorageUnavailable):
        scene.run(version, store=ChangeWatch(scene.store, fail))
    report = scene.verify(repair=True)
    assert {finding.kind for finding in report.findings} == {"orphan_file"}
    assert len(report.findings) == 3
    assert [found.kind for found in report.pending] == ["not_loaded"]
    assert scene.data_files() == []


def test_a_repair_beside_jobs_takes_nothing_from_them(tmp_path: Path) -> None:
    scene = local_scene(tmp_path)
    stop, found = threading.Event(), list[str]()

    def repair() -> None:
        while not stop.is_set():
            report = scene.verify(repair=True, stale_after=timedelta(hours=1))
            found.extend(finding.kind for finding in report.findings)

    repairing = threading.Thread(target=repair)
    repairing.start()
    try:
        for number in range(12):
            scene.load(f"{number % 3}.csv", A if number % 2 else B)
    finally:
        stop.set()
        repairing.join(60)
    assert found == []
    scene.sound()
