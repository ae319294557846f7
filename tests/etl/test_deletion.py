"""Objects deleted for good: nothing of them is left, nothing late brings them back, no crash leaves it half done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.folders import in_memory
from support.jobs import DATASET, A, B, ChangeWatch, JobScene, SmallEngine, local_scene, rows_of, text

from lakehead.errors import CorruptRecord, ObjectNotFound, StorageUnavailable
from lakehead.etl.commit import list_commits, read_commit, read_stored
from lakehead.etl.deletion import Deletion, Eraser, Request, read_deletion, skipped_for
from lakehead.model import ObjectVersion, sequencer_order
from lakehead.storage import S3Store, layout

C = text((9, "9.00", "2025-01-09"))


@pytest.fixture
def scene(scene: JobScene) -> JobScene:
    """A scene whose buckets keep the versions of what is deleted, where the store can."""
    if isinstance(scene.store, S3Store):
        for name in (scene.raw_bucket, scene.bucket):
            scene.store._client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return scene


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[JobScene]:
    with in_memory(tmp_path) as folder:
        yield local_scene(folder / "lake")


def eraser(scene: JobScene, store: Any = None) -> Eraser:
    using = store or scene.store
    return Eraser(raw=using, processed=using, raw_bucket=scene.raw_bucket, bucket=scene.bucket)


def delete(scene: JobScene, *keys: str, store: Any = None, **more: Any) -> list[Deletion]:
    forgotten: list[str] = []
    requests = [Request(DATASET, key, "tester", "asked to", **more) for key in keys]
    done = eraser(scene, store).delete(requests, lambda gone: forgotten.extend(one.landed_key for one in gone))
    assert forgotten == [key for key in keys for one in done if one.object_id == ObjectVersion("", key).id][: len(done)]
    return done


def everything(scene: JobScene) -> dict[str, bytes]:
    """All objects of both buckets, and on S3 all versions of them."""
    found = {}
    for bucket in (scene.raw_bucket, scene.bucket):
        if isinstance(scene.store, S3Store):
            client = scene.store._client
            told = client.list_object_versions(Bucket=bucket)
            for one in told.get("Versions", ()):
                body = client.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])["Body"].read()
                found[f"{bucket}/{one['Key']}#{one['VersionId']}"] = body
            found |= {f"{bucket}/{one['Key']}#{one['VersionId']}": b"" for one in told.get("DeleteMarkers", ())}
        else:
            found |= {f"{bucket}/{info.key}": scene.store.get(bucket, info.key) for info in scene.store.list(bucket)}
    return found


def test_an_object_goes_with_all_that_came_of_it_and_others_stay(scene: JobScene) -> None:
    scene.load("other.csv", B)
    scene.load("x.csv", text((1, "0.99", "2025-01-07"), ("", "9", "2025-01-01")))
    outcome = scene.load("x.csv", A)
    record, key = outcome.record, outcome.record.source.key
    (done,) = delete(scene, key)
    assert (done.key, done.rows_committed, done.rows_quarantined, done.files) == (key, 2, 1, 3)
    assert (done.by, done.reason, bool(done.finished_at)) == ("tester", "asked to", True)
    assert scene.rows() == rows_of("other.csv", B)
    scene.sound()
    left = everything(scene)
    mine = [place for place in left if record.object_id in place or record.object_id[:20] in place or key in place]
    kinds = sorted(place.partition("/")[2].partition(f"/{DATASET}")[0] for place in mine)
    assert kinds == ["_lakehead/commits", "_lakehead/deletions"], mine
    for content in left.values():
        for secret in (
            record.content_sha256,
            record.source.etag,
            *(file.key for file in record.files),
            "day=2025-01-07",
        ):
            assert secret.encode() not in content or b"other.csv" in content


def test_only_the_hash_of_the_key_is_kept_where_that_is_asked_for(scene: JobScene) -> None:
    key = scene.load("anna-smith.csv", A).record.source.key
    (done,) = delete(scene, key, keep_key=False)
    assert done.key == "" and done.landed_key == "" and done.object_id == ObjectVersion("", key).id
    left = everything(scene)
    assert left and not any("anna-smith" in place or b"anna-smith" in content for place, content in left.items())
    assert read_deletion(scene.store, scene.bucket, done.place) == done


def test_no_late_event_brings_it_back_and_what_lands_later_is_loaded(scene: JobScene) -> None:
    first = scene.land("x.csv", A)
    scene.run(first)
    delete(scene, first.key, sequencer=first.sequencer)
    engine = SmallEngine()
    for late in (first, replace(first, sequencer="1"), replace(first, etag="", sequencer="", version_id="")):
        for force in (False, True):
            outcome = scene.run(late, engine=engine, force=force)
            assert (outcome.outcome, outcome.record.rows_read) == ("superseded", 0)
    assert engine.loads == 0 and scene.rows() == []
    again = scene.land("x.csv", A)
    assert scene.run(again).outcome == "committed"
    assert scene.run(first).outcome == "unchanged", "these bytes are there again"
    assert scene.rows() == rows_of("x.csv", A)
    scene.sound()


def test_what_lands_later_and_has_no_sequencer_is_loaded_too(scene: JobScene) -> None:
    """A replay on AWS names none."""
    first = scene.land("x.csv", A)
    scene.run(first)
    delete(scene, first.key, sequencer=first.sequencer)
    again = replace(scene.land("x.csv", B), sequencer="", version_id="")
    outcome = scene.run(again, force=True)
    assert outcome.outcome == "committed"
    assert sequencer_order(outcome.record.source.sequencer) > sequencer_order(first.sequencer)


def test_an_appending_contract_keeps_nothing_of_what_was_deleted(scene: JobScene) -> None:
    adding = scene.with_contract(on_rewrite="append")
    adding.load("x.csv", A)
    key = adding.load("x.csv", B).record.source.key
    assert len(adding.rows()) == 4
    last = f"{next(adding.sequencers):018X}"
    (done,) = delete(adding, key, sequencer=last)
    assert (done.rows_committed, done.files) == (4, 5)
    adding.load("x.csv", C)
    assert adding.rows() == rows_of("x.csv", C)
    adding.sound()


def test_what_never_loaded_is_deleted_too(scene: JobScene) -> None:
    version = scene.land("x.csv", A)
    (done,) = delete(scene, version.key, sequencer=version.sequencer)
    assert (done.rows_committed, done.files) == (0, 0)
    assert scene.run(version).outcome == "superseded"
    with pytest.raises(ObjectNotFound):
        scene.store.head(scene.raw_bucket, version.key)


def test_rows_of_an_object_that_is_gone_are_deleted_too(scene: JobScene) -> None:
    version = scene.land("x.csv", A)
    scene.run(version)
    scene.store.delete(scene.raw_bucket, version.key)
    assert [found.kind for found in scene.verify().notices] == ["source_gone"]
    (done,) = delete(scene, version.key)
    assert done.rows_committed == 2 and scene.rows() == []
    assert scene.verify().notices == ()


def test_deleting_again_finds_nothing_to_do(scene: JobScene) -> None:
    key = scene.load("x.csv", A).record.source.key
    delete(scene, key)
    before = everything(scene)
    assert delete(scene, key) == []
    assert everything(scene) == before


def test_a_damaged_record_does_not_keep_rows_alive(scene: JobScene) -> None:
    record = scene.load("x.csv", A).record
    scene.load("other.csv", B)
    scene.store.put(scene.bucket, layout.commit_key(DATASET, record.object_id), b"{")
    aside = layout.damaged_key(DATASET, record.object_id, "20250101T000000")
    scene.store.put(scene.bucket, aside, b"{")
    delete(scene, record.source.key)
    assert scene.rows() == rows_of("other.csv", B)
    assert scene.keys(aside) == []
    scene.sound()


def test_files_that_a_crashed_attempt_left_go_too(scene: JobScene) -> None:
    record = scene.load("x.csv", A).record
    orphan = layout.data_key(DATASET, "day=2025-01-09", record.object_id, "0" * 12, 0)
    others = layout.data_key(DATASET, "day=2025-01-09", "f" * 64, "0" * 12, 0)
    for key in (orphan, others):
        scene.store.put(scene.bucket, key, b"x")
    delete(scene, record.source.key)
    assert scene.data_files() == [others]


def test_rows_that_were_left_to_the_deleted_object_are_known(scene: JobScene) -> None:
    sparing = scene.with_contract(on_duplicate_content="skip")
    first = sparing.load("a.csv", A).record
    second = sparing.load("b.csv", A).record
    assert second.duplicate_of == first.source.key
    delete(sparing, first.source.key)
    assert skipped_for(scene.store, scene.bucket, DATASET, first.source.key) == [second.source.key]
    assert {found.kind for found in sparing.verify().findings} == {"skipped_but_gone"}
    info = scene.store.head(scene.raw_bucket, second.source.key)
    sparing.run(ObjectVersion(info.bucket, info.key, info.etag, info.size), force=True)
    assert sparing.rows() == rows_of("b.csv", A)
    sparing.sound()


def test_an_unreadable_record_of_a_deletion_is_told(scene: JobScene) -> None:
    key = scene.load("x.csv", A).record.source.key
    (done,) = delete(scene, key)
    for data in (
        b"{",
        b"[]",
        b"{}",
        json.dumps({**json.loads(scene.store.get(scene.bucket, done.place)), "finished_at": ""}).encode(),
    ):
        scene.store.put(scene.bucket, done.place, data)
        with pytest.raises(CorruptRecord) as caught:
            list(eraser(scene).unfinished(DATASET))
        assert caught.value.hint and caught.value.where["key"] == done.place


# Crashes and races, on a local store --------------------------------------------------------------------------------


class Stopped(Exception):
    pass


def stop_at(number: int) -> Any:
    def on_change(seen: int, _: str) -> None:
        if seen == number:
            raise Stopped

    return on_change


@pytest.mark.parametrize("end", ["command", "finish", "verify"])
def test_stopped_at_any_change_it_is_finished_by_whoever_comes(memory: JobScene, end: str) -> None:
    memory.load("other.csv", B)
    for number in range(1, 50):
        key = memory.load("x.csv", A if number % 2 else C).record.source.key
        memory.store.put(memory.bucket, layout.data_key(DATASET, "", ObjectVersion("", key).id, "0" * 12, 0), b"x")
        watch = ChangeWatch(memory.store, stop_at(number))
        try:
            done = delete(memory, key, store=watch)
        except Stopped:
            assert memory.rows() in (rows_of("other.csv", B), sorted([*rows_of("other.csv", B), *_x(number)]))
            done = []
        if done:
            break
        if end == "verify":
            memory.verify(repair=True)
        elif end == "finish":
            eraser(memory).finish(eraser(memory).unfinished(DATASET), lambda _: None)
        # Where not even the intent was written, nothing is to be finished.
        if end == "command" or not list(eraser(memory).recorded(DATASET, ObjectVersion("", key).id)):
            delete(memory, key)
        assert memory.rows() == rows_of("other.csv", B)
        assert [info.key for info in memory.store.list(memory.raw_bucket)] == [_key("other.csv")]
        assert not list(eraser(memory).unfinished(DATASET))
        memory.sound()
        for place in memory.keys("_lakehead/deletions/"):
            memory.store.delete(memory.bucket, place)
    assert number > 10


def _x(number: int) -> list[Any]:
    return rows_of("x.csv", A if number % 2 else C)


def _key(name: str) -> str:
    return f"{DATASET}/ingest_date=2025-01-05/{name}"


def test_a_disk_that_fails_in_between_loses_nothing_of_others(memory: JobScene) -> None:
    memory.load("other.csv", B)
    key = memory.load("x.csv", A).record.source.key

    def fail(seen: int, _: str) -> None:
        if seen == 4:
            raise StorageUnavailable("injected")

    with pytest.raises(StorageUnavailable):
        delete(memory, key, store=ChangeWatch(memory.store, fail))
    delete(memory, key)
    assert memory.rows() == rows_of("other.csv", B)
    memory.sound()


def test_what_landed_again_before_a_repair_finished_the_deletion_stays(memory: JobScene) -> None:
    first = memory.load("x.csv", A).record
    with pytest.raises(Stopped):
        delete(memory, first.source.key, store=ChangeWatch(memory.store, stop_at(5)))
    assert memory.rows() == []
    again = memory.land("x.csv", C)
    assert memory.run(again).outcome == "committed"
    eraser(memory).finish(eraser(memory).unfinished(DATASET), lambda _: None)
    assert memory.rows() == rows_of("x.csv", C)
    memory.sound()
    delete(memory, first.source.key)
    assert memory.rows() == [] and memory.keys(DATASET) == []


def test_a_job_under_way_withdraws(memory: JobScene) -> None:
    """The object is deleted while its job reads it."""
    version = memory.land("x.csv", A)
    engine = SmallEngine(after=partial(delete, memory, version.key, sequencer=version.sequencer))
    outcome = memory.run(version, engine=engine)
    assert outcome.outcome == "superseded"
    assert memory.rows() == [] and memory.data_files() == []
    assert memory.verify(repair=True).ok
    memory.sound()


def test_a_tombstone_is_no_record_to_whoever_reads_records(memory: JobScene) -> None:
    record = memory.load("x.csv", A).record
    delete(memory, record.source.key)
    assert read_commit(memory.store, memory.bucket, DATASET, record.object_id) is None
    assert list(list_commits(memory.store, memory.bucket, DATASET)) == []
    stored = read_stored(memory.store, memory.bucket, DATASET, record.object_id)
    assert stored is not None and stored.record.deleted and stored.record.keys == ()
