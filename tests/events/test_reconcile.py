"""What no event told of is found by listing, without reading what did not change."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from lakehead.errors import BucketNotFound, StorageUnavailable
from lakehead.events import DatasetRule, EventStore, Reconciled, reconcile
from lakehead.events.complete import is_being_written
from lakehead.events.reconcile import LISTED_AT_ONCE
from lakehead.events.zone import RawZone
from lakehead.storage import LocalStore, ObjectInfo


class Counting(LocalStore):
    """Counts what is read."""

    def __init__(self, root: Any) -> None:
        super().__init__(root)
        self.reads: list[str] = []

    def head(self, bucket: str, key: str, *, version_id: str = "") -> ObjectInfo:
        self.reads.append(key)
        return super().head(bucket, key, version_id=version_id)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look happens long after every write."""
    import time

    now = time.time_ns
    monkeypatch.setattr("lakehead.events.zone.time.time_ns", lambda: now() + 10**9)


def test_it_finds_what_landed(zone: Any) -> None:
    zone.put("a.csv", b"1")
    zone.put("deep/er/b.csv.gz", b"2")
    zone.put("c.txt", b"3")
    zone.put("_x/d.csv", b"4")
    zone.put(".e.csv", b"5")
    zone.store.put("raw", "other/f.csv", b"6")
    result = zone.reconcile()
    assert zone.pending() == ["sales/orders/a.csv", "sales/orders/deep/er/b.csv.gz"]
    assert (result.listed, len(result.recorded), result.gone) == (2, 2, 0)
    assert {one.dataset for one in result.recorded} == {"sales/orders"}
    assert zone.reconcile().recorded == []


def test_an_empty_file_is_found(zone: Any) -> None:
    zone.put("empty.csv", b"")
    zone.reconcile()
    assert zone.pending() == ["sales/orders/empty.csv"]


def test_what_did_not_change_is_not_read(zone: Any, later: None) -> None:
    for number in range(2 * LISTED_AT_ONCE + 5):
        (zone.folder / f"{number:05}.csv").write_bytes(b"%d" % number)
    store = Counting(zone.root / "data")
    rules = [DatasetRule("sales/orders", "raw")]
    assert len(reconcile(store, "raw", rules, zone.events).recorded) == 2 * LISTED_AT_ONCE + 5
    store.reads.clear()
    assert reconcile(store, "raw", rules, zone.events).recorded == []
    assert store.reads == []
    (zone.folder / "00007.csv").write_bytes(b"changed")
    os.utime(zone.folder / "00009.csv")
    (zone.folder / "01003.csv").unlink()
    result = reconcile(store, "raw", rules, zone.events)
    assert [one.event.object.key for one in result.recorded] == ["sales/orders/00007.csv"]
    assert result.gone == 1
    assert {key[-9:] for key in store.reads} == {"00007.csv", "00009.csv", "01003.csv"}


def test_what_was_read_in_the_tick_of_its_change_is_read_again(zone: Any) -> None:
    zone.put("a.csv", b"1")
    zone.reconcile()
    assert zone.events.seen_between("raw", "", None, "")["sales/orders/a.csv"].fingerprint == ""


def test_an_older_file_copied_over_a_newer_one_is_a_change(zone: Any, later: None) -> None:
    (zone.folder / "a.csv").write_text("new")
    zone.reconcile()
    (zone.folder / "a.csv").write_text("old")
    os.utime(zone.folder / "a.csv", (1, 1))
    zone.reconcile()
    (one,) = zone.events.pending()
    assert one.event.object.etag == zone.etag("a.csv")


def test_deleted_objects_are_noted_and_nothing_is_removed(zone: Any, later: None) -> None:
    zone.put("a.csv", b"1")
    zone.put("b.csv", b"1")
    zone.reconcile()
    (zone.folder / "a.csv").unlink()
    (zone.folder / "b.csv").unlink()
    assert zone.reconcile().gone == 2
    assert zone.reconcile().gone == 0
    assert len(zone.events.all()) == 2
    zone.put("a.csv", b"1")  # the same bytes again
    assert zone.reconcile().recorded == []
    assert not zone.events.seen_between("raw", "", None, "")["sales/orders/a.csv"].gone


def test_a_failed_file_is_loaded_again_when_it_lands_again_and_not_when_it_is_touched_otherwise(
    zone: Any, later: None
) -> None:
    path = zone.folder / "a.csv"
    path.write_bytes(b"1")

    def failed() -> None:
        (one,) = zone.events.pending()
        zone.events.mark_started(one.number, f"run-{one.number}")
        zone.events.mark_finished(f"run-{one.number}", "FAILED")

    zone.reconcile()
    failed()
    path.chmod(0o600)
    (zone.root / "backup.csv").hardlink_to(path)
    assert zone.reconcile().recorded == []
    aside = zone.folder / ".a.csv"
    aside.write_bytes(b"1")
    aside.rename(path)
    assert len(zone.reconcile().recorded) == 1
    failed()
    path.write_bytes(b"1")  # over itself
    assert len(zone.reconcile().recorded) == 1
    assert zone.reconcile().recorded == []


def test_what_landed_behind_the_listings_back_is_not_gone(zone: Any, later: None) -> None:
    zone.put("b.csv", b"1")

    class Blind(LocalStore):
        def list(self, bucket: str, prefix: str = "", *, start_after: str = "") -> Any:
            return iter([])

    zone.reconcile()
    result = reconcile(Blind(zone.root / "data"), "raw", [DatasetRule("sales/orders", "raw")], zone.events)
    assert result.gone == 0


def test_a_file_that_is_being_written_is_left_for_its_closing(zone: Any) -> None:
    (zone.folder / "probe").write_text("")
    if is_being_written(zone.folder / "probe") is None:
        pytest.skip("this file system does not tell who writes")
    with (zone.folder / "a.csv").open("w") as stream:
        stream.write("half")
        stream.flush()
        result = zone.reconcile()
        assert (result.recorded, result.busy) == ([], ["sales/orders/a.csv"])
    assert [one.event.object.key for one in zone.reconcile().recorded] == ["sales/orders/a.csv"]


def test_a_file_that_is_being_written_is_not_even_read(zone: Any) -> None:
    path = zone.folder / "a.csv"
    path.write_text("")
    if is_being_written(path) is None:
        pytest.skip("this file system does not tell who writes")
    store = Counting(zone.root / "data")
    with path.open("w"):
        looked = RawZone(store, "raw", [DatasetRule("sales/orders", "raw")], zone.events).look(["sales/orders/a.csv"])
    assert (looked.busy, store.reads) == (["sales/orders/a.csv"], [])


def test_where_writers_cannot_be_told_only_lying_unchanged_counts(zone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehead.events.zone.is_being_written", lambda path: None)
    (zone.folder / "still.csv").write_text("whole")
    moving = zone.folder / "moving.csv"
    moving.write_text("half")

    class Stop(threading.Event):
        """Stands for the time that passes: meanwhile the writer goes on."""

        def wait(self, timeout: float | None = None) -> bool:
            with moving.open("a") as stream:
                stream.write("more")
            return False

    rules = [DatasetRule("sales/orders", "raw")]
    result = reconcile(zone.store, "raw", rules, zone.events, stop=Stop())
    assert [one.event.object.key for one in result.recorded] == ["sales/orders/still.csv"]
    assert result.busy == ["sales/orders/moving.csv"]
    assert len(reconcile(zone.store, "raw", rules, zone.events, settle_seconds=0).recorded) == 1


def test_a_file_that_changes_while_it_is_read_is_not_recorded(zone: Any) -> None:
    path = zone.folder / "a.csv"
    path.write_text("0")

    class Changing(LocalStore):
        def head(self, bucket: str, key: str, *, version_id: str = "") -> ObjectInfo:
            info = super().head(bucket, key, version_id=version_id)
            with path.open("a") as stream:
                stream.write("+")
            return info

    rules = [DatasetRule("sales/orders", "raw")]
    result = reconcile(Changing(zone.root / "data"), "raw", rules, zone.events, settle_seconds=0)
    assert (result.recorded, result.busy) == ([], ["sales/orders/a.csv"])


def test_one_unreadable_file_does_not_hold_up_the_others(zone: Any) -> None:
    zone.put("a.csv", b"1")
    zone.put("b.csv", b"2")

    class Broken(LocalStore):
        def head(self, bucket: str, key: str, *, version_id: str = "") -> ObjectInfo:
            if key.endswith("a.csv"):
                raise StorageUnavailable("Input/output error")
            return super().head(bucket, key, version_id=version_id)

    result = reconcile(Broken(zone.root / "data"), "raw", [DatasetRule("sales/orders", "raw")], zone.events)
    assert list(result.problems) == ["sales/orders/a.csv"]
    assert zone.pending() == ["sales/orders/b.csv"]
    assert [one.event.object.key for one in zone.reconcile().recorded] == ["sales/orders/a.csv"]


def test_progress_is_told(zone: Any) -> None:
    for number in range(LISTED_AT_ONCE + 1):
        (zone.folder / f"{number:05}.csv").write_bytes(b"%d" % number)
    told: list[tuple[int, int]] = []

    def progress(result: Reconciled) -> None:
        told.append((result.listed, len(result.recorded)))

    reconcile(zone.store, "raw", [DatasetRule("sales/orders", "raw")], zone.events, progress=progress)
    assert len(told) > 5
    assert told == sorted(told)
    assert told[-1] == (LISTED_AT_ONCE + 1, LISTED_AT_ONCE + 1)


def test_a_missing_bucket_is_told(zone: Any) -> None:
    with pytest.raises(BucketNotFound):
        reconcile(zone.store, "nothing", [DatasetRule("sales/orders", "nothing")], zone.events)


def test_a_stop_ends_a_listing(zone: Any) -> None:
    zone.put("a.csv", b"1")
    stop = threading.Event()
    stop.set()
    result = reconcile(zone.store, "raw", [DatasetRule("sales/orders", "raw")], zone.events, stop=stop)
    assert result.recorded == []


def test_a_remote_bucket_is_listed_too(zone: Any) -> None:
    """A store without local paths, as S3 is."""

    class Remote(Counting):
        def local_path(self, bucket: str, key: str) -> None:
            return None

    store = Remote(zone.root / "data")
    zone.put("a.csv", b"1")
    rules = [DatasetRule("sales/orders", "raw")]
    assert len(reconcile(store, "raw", rules, zone.events).recorded) == 1
    store.reads.clear()
    assert reconcile(store, "raw", rules, zone.events).recorded == []
    assert store.reads == []


def test_event_store_survives_reopening(zone: Any, later: None) -> None:
    zone.put("a.csv", b"1")
    zone.reconcile()
    zone.events.close()
    zone.events = EventStore(zone.root / "events.db")
    assert zone.reconcile().recorded == []
    assert zone.pending() == ["sales/orders/a.csv"]
