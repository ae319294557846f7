"""Jobs over both stores: which version is loaded, what becomes of it, and what a reader sees afterwards."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.jobs import DATASET, HEADER, A, B, ChangeWatch, JobScene, SmallEngine, rows_of, text

from lakehead.errors import (
    Busy,
    CommitConflict,
    CorruptRecord,
    CountMismatch,
    DuplicateContent,
    ObjectChanged,
    ObjectNotFound,
    RewriteRefused,
    SourceError,
)
from lakehead.etl.base import EngineResult
from lakehead.etl.commit import list_commits, read_commit
from lakehead.etl.duckdb_engine import DuckDBEngine
from lakehead.etl.record import HEAD_BYTES
from lakehead.model import object_id
from lakehead.storage import LocalStore, layout


@pytest.fixture
def local(tmp_path: Path) -> JobScene:
    made = JobScene(LocalStore(tmp_path / "data"), folder=tmp_path)
    for name in ("raw", "processed"):
        made.store.create_bucket(name)
    return made


def names(scene: JobScene) -> list[str]:
    return [key.rpartition("/")[2] for key in scene.data_files()]


def test_a_landed_object_becomes_rows_and_a_record(scene: JobScene) -> None:
    version = scene.land("x.csv", A)
    outcome = scene.run(version, execution="e1", attempt="a1")
    assert outcome.outcome == "committed"
    assert outcome.commit_key == layout.commit_key(DATASET, object_id(version.key))
    assert scene.rows() == rows_of("x.csv", A)
    record = scene.record(version)
    assert outcome.record == record
    assert record.source == version
    assert (record.execution, record.attempt, record.engine) == ("e1", "a1", "small")
    assert (record.rows_read, record.rows_committed, record.rows_quarantined) == (3, 2, 1)
    assert record.reasons == {"id is missing": 1}
    assert {file.partition for file in record.files} == {"day=2025-01-01", "day=2025-01-02"}
    scene.sound()
    assert list(scene.store.stale_staging(scene.bucket, timedelta(days=-1))) == []


def test_the_same_version_again_changes_nothing(scene: JobScene) -> None:
    version = scene.land("x.csv", A)
    first = scene.run(version, execution="e1")
    again = scene.run(version, execution="e2")
    assert again.outcome == "unchanged"
    assert again.record == first.record
    assert scene.engine.loads == 1  # type: ignore[attr-defined]
    assert scene.rows() == rows_of("x.csv", A)


def test_an_unchanged_version_needs_no_raw_object(scene: JobScene) -> None:
    version = scene.land("x.csv", A)
    scene.run(version)
    scene.store.delete(scene.raw_bucket, version.key)
    assert scene.run(version).outcome == "unchanged"
    with pytest.raises(ObjectNotFound, match="gone"):
        scene.run(version, force=True)


def test_a_rewrite_replaces_the_rows_and_the_older_version_does_nothing(scene: JobScene) -> None:
    first = scene.land("x.csv", A)
    scene.run(first)
    second = scene.land("x.csv", B)
    assert scene.run(second).outcome == "committed"
    assert scene.rows() == rows_of("x.csv", B)
    scene.sound()
    assert scene.run(first).outcome == "superseded"
    assert scene.rows() == rows_of("x.csv", B)
    scene.sound()


def test_a_version_that_is_no_longer_there_is_told(scene: JobScene) -> None:
    first = scene.land("x.csv", A)
    scene.land("x.csv", B)
    with pytest.raises(ObjectChanged) as caught:
        scene.run(first)
    assert caught.value.where["expected"] == first.etag
    assert scene.keys() == []


def test_an_object_that_changes_while_it_is_read_is_not_committed(local: JobScene) -> None:
    version = local.land("x.csv", A)
    path = local.store.local_path("raw", version.key)
    assert path is not None
    with pytest.raises(ObjectChanged):
        local.run(version, engine=SmallEngine(after=lambda: path.write_text(B)))
    with pytest.raises(ObjectChanged):
        local.run(local.land("x.csv", A), engine=SmallEngine(after=path.unlink))
    assert local.keys() == []


def test_an_object_that_is_only_touched_while_it_is_read_is_tried_again(local: JobScene) -> None:
    """It may have held other bytes for a moment; but no event tells of it, so nobody else would load it."""
    version = local.land("x.csv", A)
    path = local.store.local_path("raw", version.key)
    assert path is not None
    with pytest.raises(Busy):
        local.run(version, engine=SmallEngine(after=lambda: path.chmod(0o600)))
    assert local.keys() == []
    assert local.run(version).outcome == "committed"


def test_a_remote_object_is_copied_once_so_a_change_meanwhile_is_of_no_matter(scene: JobScene) -> None:
    if scene.store.etag_is_sha256:
        pytest.skip("a local object is read in place")
    version = scene.land("x.csv", A)
    newer = scene.land("x.csv", A)  # the same bytes
    engine = SmallEngine(before=lambda: scene.store.put(scene.raw_bucket, version.key, B.encode()))
    assert scene.run(newer, engine=engine).outcome == "committed"
    assert scene.rows() == rows_of("x.csv", A)


def test_back_to_old_bytes_counts_as_the_newest_version(scene: JobScene) -> None:
    for content in (A, B, A):
        assert scene.load("x.csv", content).outcome == "committed"
        assert scene.rows() == rows_of("x.csv", content)
        scene.sound()


def test_a_newer_sequencer_of_the_same_bytes_keeps_an_event_in_between_from_winning(scene: JobScene) -> None:
    first = scene.land("x.csv", A, sequencer=10)
    scene.run(first, execution="e1")
    between = scene.land("x.csv", B, sequencer=11)
    newest = scene.land("x.csv", A, sequencer=12)
    outcome = scene.run(newest, execution="e2")
    assert (outcome.outcome, outcome.record.execution) == ("unchanged", "e1")
    assert scene.document(newest)["source"]["sequencer"] == f"{12:018X}"
    assert scene.document(newest)["source"]["etag"] == newest.etag
    assert scene.run(between).outcome == "superseded"
    assert scene.rows() == rows_of("x.csv", A)


def test_without_etag_and_sequencer_the_object_is_taken_as_it_is(scene: JobScene) -> None:
    scene.load("x.csv", A)
    version = scene.land("x.csv", B)
    outcome = scene.run(replace(version, etag="", sequencer="", version_id="", size=0))
    assert outcome.outcome == "committed"
    assert scene.record(version).source.etag == version.etag
    assert scene.rows() == rows_of("x.csv", B)


def test_a_replay_publishes_again_under_the_same_names(scene: JobScene) -> None:
    version = scene.land("x.csv", A)
    before = scene.run(version, execution="e1").record
    outcome = scene.run(version, execution="e2", force=True)
    assert outcome.outcome == "committed"
    assert outcome.record.keys == before.keys
    assert outcome.record.execution == "e2"
    scene.sound()


def test_another_contract_loads_the_same_bytes_again(scene: JobScene) -> None:
    version = scene.land("x.csv", A)
    before = scene.run(version).record
    changed = scene.with_contract(sha256="c2" * 32, version="2.0.0")
    after = changed.run(version)
    assert (after.outcome, after.record.contract_version) == ("committed", "2.0.0")
    assert set(after.record.keys).isdisjoint(before.keys)
    scene.sound()


def test_reject_keeps_the_first_rows(scene: JobScene) -> None:
    strict = scene.with_contract(on_rewrite="reject")
    strict.load("x.csv", A)
    version = strict.land("x.csv", B)
    with pytest.raises(RewriteRefused):
        strict.run(version)
    assert strict.rows() == rows_of("x.csv", A)
    assert strict.load("x.csv", A).outcome == "unchanged"


def test_append_adds_every_version_once(scene: JobScene) -> None:
    adding = scene.with_contract(on_rewrite="append")
    versions = []
    for content in (A, B):
        versions.append(adding.land("x.csv", content))
        assert adding.run(versions[-1]).outcome == "committed"
    both = sorted(rows_of("x.csv", A) + rows_of("x.csv", B))
    assert adding.rows() == both
    adding.sound()
    record = adding.record(versions[1])
    assert (record.rows_read, record.rows_committed, record.rows_quarantined) == (5, 4, 1)
    for version in versions:
        adding.run(version)
        assert adding.rows() == both
    for content in (A, B):
        assert adding.load("x.csv", content).outcome == "unchanged"
        assert adding.rows() == both
    adding.run(adding.land("x.csv", B), force=True)
    assert adding.rows() == both


# The same bytes under another key -----------------------------------------------------------------------------------


def test_the_same_bytes_under_another_key_are_loaded_with_a_warning(scene: JobScene) -> None:
    scene.load("x.csv", A)
    version = scene.land("y.csv", A)
    (warning,) = scene.run(version).record.warnings
    assert "x.csv" in warning
    assert scene.rows() == sorted(rows_of("x.csv", A) + rows_of("y.csv", A))
    assert scene.record(scene.land("x.csv", A)).warnings == ()
    scene.sound()


def test_refuse_says_which_key_has_the_bytes(scene: JobScene) -> None:
    strict = scene.with_contract(on_duplicate_content="refuse")
    strict.load("x.csv", A)
    with pytest.raises(DuplicateContent) as caught:
        strict.load("y.csv", A)
    assert caught.value.where["other"].endswith("x.csv")
    assert strict.rows() == rows_of("x.csv", A)
    assert strict.engine.loads == 1  # type: ignore[attr-defined]
    assert strict.load("x.csv", A).outcome == "unchanged"


def test_skip_commits_no_rows_until_the_first_key_has_other_ones(scene: JobScene) -> None:
    skipping = scene.with_contract(on_duplicate_content="skip")
    skipping.load("x.csv", A)
    version = skipping.land("y.csv", A)
    outcome = skipping.run(version)
    assert outcome.outcome == "committed"
    assert (outcome.record.rows_read, outcome.record.files) == (0, ())
    assert outcome.record.duplicate_of.endswith("x.csv")
    assert "x.csv" in outcome.record.warnings[0]
    assert skipping.run(version).outcome == "unchanged"
    assert skipping.rows() == rows_of("x.csv", A)
    skipping.sound()

    skipping.load("x.csv", B)
    assert [found.kind for found in skipping.verify().findings] == ["skipped_but_gone"]
    assert [found.key for found in skipping.verify().reload] == [version.key]
    assert skipping.run(version).outcome == "committed"
    assert skipping.rows() == sorted(rows_of("x.csv", B) + rows_of("y.csv", A))
    skipping.sound()
    third = skipping.load("z.csv", A)
    assert third.record.duplicate_of.endswith("y.csv")


def test_a_damaged_marker_is_taken_over(scene: JobScene) -> None:
    strict = scene.with_contract(on_duplicate_content="refuse")
    record = strict.load("x.csv", A).record
    marker = layout.content_key(DATASET, record.content_sha256)
    strict.store.put(strict.bucket, marker, b"\x00 no JSON")
    assert strict.load("y.csv", A).outcome == "committed"
    assert json.loads(strict.store.get(strict.bucket, marker))["key"].endswith("y.csv")


def test_empty_files_are_all_alike_and_no_duplicates(scene: JobScene) -> None:
    strict = scene.with_contract(on_duplicate_content="refuse")
    for name in ("x.csv", "y.csv"):
        outcome = strict.load(name, HEADER)
        assert (outcome.outcome, outcome.record.rows_read, outcome.record.warnings) == ("committed", 0, ())
    strict.sound()


# Engines that are wrong ---------------------------------------------------------------------------------------------


def told(change: Callable[[EngineResult], EngineResult]) -> SmallEngine:
    class Wrong(SmallEngine):
        def load(self, *arguments: Any, **options: Any) -> EngineResult:
            return change(super().load(*arguments, **options))

    return Wrong()


def first_file(result: EngineResult, **changes: Any) -> EngineResult:
    return replace(result, files=(replace(result.files[0], **changes), *result.files[1:]))


@pytest.mark.parametrize(
    "change",
    [
        lambda result: replace(result, rows_read=4),
        lambda result: replace(result, rows_read=4, rows_committed=3),
        lambda result: replace(result, rows_quarantined=0, rows_read=2),
        lambda result: replace(result, quarantine=None),
        lambda result: replace(result, files=result.files[1:]),
        lambda result: first_file(replace(result, rows_read=4, rows_committed=3), rows=2),
        lambda result: first_file(result, path=result.files[1].path.parent / ".." / "elsewhere"),
        lambda result: first_file(result, partition="../../up"),
        lambda result: first_file(result, partition="day"),
        lambda result: truncated(result),
    ],
)
def test_rows_that_do_not_add_up_are_not_committed(
    local: JobScene, change: Callable[[EngineResult], EngineResult]
) -> None:
    version = local.land("x.csv", A)
    with pytest.raises(CountMismatch) as caught:
        local.run(version, engine=told(change))
    assert caught.value.where["key"] == version.key
    assert local.keys() == []
    assert local.run(version).outcome == "committed"


def truncated(result: EngineResult) -> EngineResult:
    result.files[0].path.write_bytes(result.files[0].path.read_bytes()[:-3])
    return result


def test_a_file_that_cannot_be_loaded_changes_nothing(scene: JobScene) -> None:
    def fail() -> None:
        raise SourceError("no good")

    scene.load("x.csv", A)
    with pytest.raises(SourceError):
        scene.run(scene.land("x.csv", B), engine=SmallEngine(after=fail))
    assert scene.rows() == rows_of("x.csv", A)
    assert [f.kind for f in scene.verify().findings] == []


def test_a_record_that_cannot_be_read_stops_the_job(scene: JobScene) -> None:
    version = scene.land("x.csv", A)
    outcome = scene.run(version)
    scene.store.put(scene.bucket, outcome.commit_key, b"{")
    with pytest.raises(CorruptRecord, match="verify --repair"):
        scene.run(version)
    with pytest.raises(CorruptRecord):
        list(list_commits(scene.store, scene.bucket, DATASET))


# Conflicts ----------------------------------------------------------------------------------------------------------


def test_a_conflict_is_decided_again(scene: JobScene) -> None:
    """Another attempt commits a newer version right before this one puts its record."""
    older, newer = scene.land("x.csv", A), scene.land("x.csv", B)
    if scene.store.excludes:
        pytest.skip("on a store with locks nobody can come in between")
    scene.store.put(scene.raw_bucket, older.key, A.encode())

    def intervene(_: int, change: str) -> None:
        if change.startswith("put _lakehead/commits") and not scene.keys("_lakehead/commits"):
            scene.store.put(scene.raw_bucket, older.key, B.encode())
            scene.run(newer)

    outcome = scene.run(older, store=ChangeWatch(scene.store, intervene))
    assert outcome.outcome == "superseded"
    assert scene.rows() == rows_of("x.csv", B)
    scene.sound()


def test_the_same_version_twice_at_once_is_committed_once(scene: JobScene) -> None:
    version = scene.land("x.csv", A)
    if scene.store.excludes:
        pytest.skip("on a store with locks nobody can come in between")

    def intervene(_: int, change: str) -> None:
        if change.startswith("put _lakehead/commits") and not scene.keys("_lakehead/commits"):
            scene.run(version, execution="other")

    outcome = scene.run(version, store=ChangeWatch(scene.store, intervene), execution="this")
    assert (outcome.outcome, outcome.record.execution) == ("unchanged", "other")
    assert scene.rows() == rows_of("x.csv", A)
    scene.sound()


def test_endless_conflicts_end_in_an_error_to_retry_on(scene: JobScene) -> None:
    (other,) = [scene.load("y.csv", B).record]
    version = scene.land("x.csv", A)
    document = {**scene.document(other.source), "object_id": version.id, "files": [], "quarantine": []}
    document["source"] = {**document["source"], "key": version.key, "sequencer": ""}
    count = itertools.count()

    def intervene(_: int, change: str) -> None:
        if change.startswith("put _lakehead/commits"):
            document["attempt"] = f"other-{next(count)}"
            key = layout.commit_key(DATASET, version.id)
            scene.store.put(scene.bucket, key, b" " * HEAD_BYTES + json.dumps(document).encode())

    with pytest.raises(CommitConflict) as caught:
        scene.run(version, store=ChangeWatch(scene.store, intervene))
    assert caught.value.retryable
    assert next(count) == 3
    assert scene.rows() == rows_of("y.csv", B)
    assert set(scene.data_files()) == set(other.keys)


def test_list_commits_leaves_out_datasets_below(scene: JobScene) -> None:
    record = scene.load("x.csv", A).record
    below = layout.commit_key(f"{DATASET}/returns", record.object_id)
    scene.store.put(scene.bucket, below, b"{}")
    assert list(list_commits(scene.store, scene.bucket, DATASET)) == [record]
    assert read_commit(scene.store, scene.bucket, DATASET, "0" * 64) is None


def test_the_duckdb_engine_end_to_end(scene: JobScene) -> None:
    loading = replace(scene, engine=DuckDBEngine(memory_limit="500MB", threads=1))
    assert loading.load("x.csv", A).outcome == "committed"
    assert loading.rows() == rows_of("x.csv", A)
    loading.load("x [1]*.csv.gz.csv", text((7, "7.00", "2025-01-07")))
    record = loading.load("x.csv", B).record
    assert loading.rows() == sorted([*rows_of("x.csv", B), ("x [1]*.csv.gz.csv", 7, "7.00", "2025-01-07")])
    assert record.engine == "duckdb"
    assert isinstance(record.files[0].rows, int)
    loading.sound()
