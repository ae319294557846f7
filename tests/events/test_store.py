"""Each version once, the last one wins, and kill -9 changes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from lakehead.errors import UsageError
from lakehead.events import EventStore
from lakehead.model import REPLAY, ObjectCreated, ObjectVersion
from lakehead.storage import ObjectInfo

NOW = datetime(2025, 1, 3, tzinfo=UTC)
WAIT = 20.0


def event(key: str = "k.csv", etag: str = "a", sequencer: str = "01", version_id: str = "") -> ObjectCreated:
    version = ObjectVersion("raw", key, etag, 3, sequencer, version_id)
    return ObjectCreated.of(version, time=NOW)


def info(
    key: str = "k.csv", etag: str = "a", sequencer: int = 1, fingerprint: str = "f", landing: str = "first"
) -> ObjectInfo:
    return ObjectInfo("raw", key, 3, NOW, fingerprint, landing, etag, f"{sequencer:016x}")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    made = EventStore(tmp_path / "events.db")
    yield made
    made.close()


def states(store: EventStore) -> list[tuple[str, str]]:
    return [(one.event.object.etag, one.state) for one in store.all()]


def test_an_event_is_recorded_once_however_often_it_comes(store: EventStore) -> None:
    first = store.record(event(), "sales/orders")
    assert first
    assert first.event.dataset == "sales/orders"
    again = store.record(event(sequencer="0001"), "sales/orders")
    assert not again
    assert again.event == first.event
    assert len(store.pending()) == 1
    assert store.pending()[0].event == event()


def test_an_older_version_that_comes_late_does_nothing(store: EventStore) -> None:
    store.record(event(etag="new", sequencer="0A"))
    assert not store.record(event(etag="old", sequencer="9"))
    assert states(store) == [("new", "pending"), ("old", "stale")]


def test_late_versions_do_not_set_the_clock_back(store: EventStore) -> None:
    for etag, sequencer in (("five", "5"), ("three", "3"), ("four", "4")):
        store.record(event(etag=etag, sequencer=sequencer))
    assert states(store) == [("five", "pending"), ("three", "stale"), ("four", "stale")]


def test_a_newer_version_supersedes_one_that_waits(store: EventStore) -> None:
    store.record(event(etag="old", sequencer="9"))
    assert store.record(event(etag="new", sequencer="0A"))
    assert states(store) == [("old", "stale"), ("new", "pending")]


def test_a_waiting_version_that_can_still_be_read_stays(store: EventStore) -> None:
    store.record(event(etag="old", sequencer="9", version_id="v1"))
    store.record(event(etag="new", sequencer="0A", version_id="v2"))
    assert [one.event.object.version_id for one in store.pending()] == ["v1", "v2"]


def test_the_same_bytes_again_are_no_change_but_count_for_the_order(store: EventStore) -> None:
    store.record(event(etag="a", sequencer="1"))
    assert not store.record(event(etag="a", sequencer="5"))
    assert not store.record(event(etag="b", sequencer="3"))
    assert states(store) == [("a", "pending"), ("a", "stale"), ("b", "stale")]


def test_back_to_earlier_bytes_is_a_change(store: EventStore) -> None:
    for number, etag in enumerate("aba", 1):
        assert store.record(event(etag=etag, sequencer=f"{number}"))
    for number, etag in enumerate("bab", 10):
        assert store.observe([(info(etag=etag, sequencer=number), "d")])
    assert states(store)[-1] == ("b", "pending")
    assert store.counts()["pending"] == 1


def test_events_without_a_sequencer(store: EventStore) -> None:
    assert store.record(event(etag="a", sequencer=""))
    assert not store.record(event(etag="a", sequencer=""))
    assert store.record(event(etag="b", sequencer=""))
    assert states(store) == [("a", "stale"), ("b", "pending")]


def test_a_wrong_sequencer_records_nothing(store: EventStore) -> None:
    with pytest.raises(UsageError, match="hexadecimal"):
        store.record_many([(event(), "d"), (event("other.csv", sequencer="x"), "d")])
    assert store.all() == []


def test_observed_sequencers_always_grow(store: EventStore) -> None:
    for etag, clock in (("a", 1000), ("b", 1000), ("c", 10), ("d", 5000)):
        store.observe([(info(etag=etag, sequencer=clock), "d")])
    found = [int(one.event.object.sequencer, 16) for one in store.all()]
    assert found == [1000, 1001, 1002, 5000]
    assert {len(one.event.object.sequencer) for one in store.all()} == {16}


def test_a_touched_file_is_no_change(store: EventStore) -> None:
    assert len(store.observe([(info(), "d")])) == 1
    assert store.observe([(info(sequencer=9, fingerprint="g"), "d")]) == []
    assert store.seen_between("raw", "", None, "")["k.csv"].fingerprint == "g"
    assert store.all()[0].event.object.sequencer.endswith("1")


def test_an_event_for_what_was_found_adds_nothing(store: EventStore) -> None:
    (found,) = store.observe([(info(), "d")])
    assert not store.record(found.event.event, "d")
    assert len(store.all()) == 1


def test_from_pending_to_finished(store: EventStore) -> None:
    one, two = (store.record(event(key), "d").event.number for key in ("a.csv", "b.csv"))
    store.mark_started(one, "run-a")
    store.mark_started([two], "run-b")
    assert store.pending() == []
    assert store.started() == ["run-a", "run-b"]
    assert store.mark_finished("run-a", "SUCCEEDED") == 1
    assert store.mark_finished("run-b", "FAILED") == 1
    assert store.counts() == {"pending": 0, "started": 0, "done": 1, "failed": 1, "stale": 0}
    store.mark_finished("run-b", "SUCCEEDED")  # redriven
    assert store.counts()["done"] == 2
    store.mark_started(one, "another")
    assert store.counts()["done"] == 2


def test_which_of_some_keys_are_done(store: EventStore) -> None:
    for key, etag, status in (("a", "x", "SUCCEEDED"), ("b", "x", "FAILED"), ("c", "x", "SUCCEEDED"), ("c", "y", "")):
        number = store.record(event(key, etag=etag, sequencer=str(ord(etag) - 110)), "d").event.number
        if status:
            store.mark_started(number, f"run-{number}")
            store.mark_finished(f"run-{number}", status)
    assert store.done(["a", "b", "c", "nothing"]) == [("d", "a")]
    assert store.done([]) == []


def start(store: EventStore) -> str:
    (one,) = store.pending()
    store.mark_started(one.number, f"run-{one.number}")
    return f"run-{one.number}"


def end(store: EventStore, status: str) -> None:
    store.mark_finished(start(store), status)


def test_bytes_whose_load_failed_may_land_again(store: EventStore) -> None:
    store.observe([(info(landing="first"), "d")])
    end(store, "FAILED")
    assert store.observe([(info(sequencer=1, fingerprint="", landing="first"), "d")]) == []  # only read again
    (again,) = store.observe([(info(sequencer=2, landing="second"), "d")])
    # As a redrive: part of the load that failed may have been committed already, and that is not enough.
    assert again.event.event.reason == REPLAY
    end(store, "SUCCEEDED")
    assert store.observe([(info(sequencer=3, landing="third"), "d")]) == []
    assert not store.record(event(sequencer="4"), "d")
    store.mark_finished(store.all()[1].execution, "FAILED")
    assert store.record(event(sequencer="5"), "d").event.event.reason == REPLAY


def test_bytes_that_come_back_after_others_are_loaded_anew_if_their_load_failed(store: EventStore) -> None:
    reasons = []
    for number, (etag, status) in enumerate((("a", "FAILED"), ("b", "SUCCEEDED"), ("a", "SUCCEEDED"), ("b", "")), 1):
        reasons.append(store.record(event(etag=etag, sequencer=f"{number}")).event.event.reason)
        if status:
            end(store, status)
    assert reasons == ["PutObject", "PutObject", REPLAY, "PutObject"]


def test_whether_a_file_landed_again_is_no_matter_of_clocks(store: EventStore) -> None:
    store.observe([(info(sequencer=1000, landing="first"), "d")])
    end(store, "FAILED")
    (again,) = store.observe([(info(sequencer=10, landing="second"), "d")])  # the clock was set back
    assert int(again.event.event.object.sequencer, 16) == 1001
    end(store, "FAILED")
    assert store.observe([(info(sequencer=5000, fingerprint="g", landing="second"), "d")]) == []  # chmod, cp -al
    seen = store.seen_between("raw", "", None, "")
    store.mark_gone("raw", seen)
    assert store.observe([(info(sequencer=6000, landing="second"), "d")]), "it was moved away and came back"


def test_what_was_seen_anew_meanwhile_is_not_gone(store: EventStore) -> None:
    store.observe([(info(landing="first"), "d")])
    before = store.seen_between("raw", "", None, "")
    store.observe([(info(landing="second"), "d")])
    store.mark_gone("raw", before)
    assert not store.seen_between("raw", "", None, "")["k.csv"].gone


@pytest.mark.parametrize("delivered", [False, True])
def test_bytes_that_land_again_while_they_are_loaded_wait_for_the_end(store: EventStore, delivered: bool) -> None:
    def land(sequencer: int) -> bool:
        if delivered:
            return bool(store.record(event(sequencer=f"{sequencer:x}"), "d"))
        return bool(store.observe([(info(sequencer=sequencer, landing=f"{sequencer}"), "d")]))

    assert land(1)
    name = start(store)
    for _ in range(2):  # told twice, as by inotify and by a listing
        assert not land(2)
    store.mark_finished(name, "FAILED")
    for _ in range(2):
        assert not land(2), "it waits already"
    store.mark_finished(name, "FAILED")
    (again,) = store.pending()
    assert (again.event.reason, int(again.event.object.sequencer, 16)) == (REPLAY, 2)
    name = start(store)
    assert not land(3)
    store.mark_finished(name, "SUCCEEDED")
    assert store.pending() == [], "the bytes are loaded"
    assert not land(4)


def test_one_landing_told_by_event_and_by_listing_is_one(store: EventStore) -> None:
    store.record(event(sequencer="1"), "d")
    name = start(store)
    assert not store.observe([(info(sequencer=1, landing="first"), "d")])
    store.mark_finished(name, "FAILED")
    assert not store.observe([(info(sequencer=1, fingerprint="", landing="first"), "d")])
    assert store.record(event(sequencer="2"), "d")
    end(store, "FAILED")
    assert not store.observe([(info(sequencer=2, landing="second"), "d")])
    assert len(store.all()) == 2


def test_what_landed_in_between_is_not_brought_back_by_a_failure(store: EventStore) -> None:
    store.record(event(etag="a", sequencer="1"))
    name = start(store)
    store.record(event(etag="a", sequencer="2"))
    store.record(event(etag="b", sequencer="3"))
    store.mark_finished(name, "FAILED")
    assert states(store) == [("a", "failed"), ("a", "stale"), ("b", "pending")]


def test_replays(store: EventStore) -> None:
    for key, etag in (("a/1.csv", "x"), ("a/1.csv", "y"), ("a/2.csv", "x"), ("b/1.csv", "x"), ("b/gone.csv", "x")):
        store.observe([(info(key, etag, store.counts()["done"] + 1), "d")])
        for one in store.pending():
            store.mark_started(one.number, f"run-{one.number}")
            store.mark_finished(f"run-{one.number}", "SUCCEEDED")
    store.mark_gone("raw", store.seen_between("raw", "", None, "b/gone"))
    replays = store.requeue(prefix="a/")
    assert [(one.event.object.key, one.event.object.etag) for one in replays] == [("a/1.csv", "y"), ("a/2.csv", "x")]
    assert {(one.replay, one.event.reason, one.state) for one in replays} == {("1", "Replay", "pending")}
    assert store.pending() == replays
    assert store.requeue(prefix="a/") == []  # they wait already
    assert len({one.event.id for one in store.all()}) == len(store.all())
    assert [one.event.object.key for one in store.requeue(bucket="raw", dataset="d")] == ["b/1.csv"]
    for one in store.pending():
        store.mark_started(one.number, f"run-{one.number}")
        store.mark_finished(f"run-{one.number}", "FAILED")
    (again,) = store.requeue(key="a/1.csv")
    assert again.replay == "2"
    assert store.requeue(key="nothing.csv") == []
    assert store.requeue(key="") == []


def test_replays_by_time(tmp_path: Path) -> None:
    clock = [NOW]
    store = EventStore(tmp_path / "events.db", clock=lambda: clock[0])
    for day, key in enumerate(("a.csv", "b.csv", "c.csv")):
        clock[0] = NOW + timedelta(days=day)
        number = store.observe([(info(key), "d")])[0].event.number
        store.mark_started(number, key)
        store.mark_finished(key, "SUCCEEDED")
    chosen = store.requeue(since=NOW + timedelta(days=1), until=NOW + timedelta(days=2))
    assert [one.event.object.key for one in chosen] == ["b.csv"]
    store.close()


def test_a_percent_sign_in_a_prefix_is_a_percent_sign(store: EventStore) -> None:
    number = store.record(event("abc.csv")).event.number
    store.mark_started(number, "r")
    store.mark_finished("r", "SUCCEEDED")
    assert store.requeue(prefix="a%") == []
    assert store.requeue(prefix="a_") == []


def test_waiting_ends_when_something_is_pending(store: EventStore) -> None:
    assert not store.wait_for_pending(0)
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(store.wait_for_pending(WAIT)))
    waiter.start()
    store.record(event())
    waiter.join(WAIT)
    assert answers == [True]
    assert store.wait_for_pending(0)


def test_waiting_hears_of_another_process(store: EventStore, tmp_path: Path) -> None:
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(store.wait_for_pending(WAIT)))
    waiter.start()
    other = EventStore(tmp_path / "events.db")
    other.record(event())
    other.close()
    waiter.join(WAIT)
    assert answers == [True]


def test_many_threads_record_each_version_once(store: EventStore) -> None:
    results: list[bool] = []
    events = [event(f"{number}.csv") for number in range(20)]
    threads = [
        threading.Thread(target=lambda: results.extend(bool(store.record(one)) for one in events)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(results) == {True: 20, False: 60}


PROGRAM = """
import pathlib, sys
from lakehead.events import EventStore
from lakehead.model import ObjectCreated, ObjectVersion
store = EventStore(pathlib.Path(sys.argv[1]))
journal = pathlib.Path(sys.argv[2]).open("a")
def step(what):
    print(what, flush=True)
for name in store.started():
    store.mark_finished(name, "SUCCEEDED")
for number in range(12):
    store.record(ObjectCreated.of(ObjectVersion("raw", f"{number}.csv", "e", 1, "1")), "d")
    step("recorded")
while pending := store.pending(1):
    (one,) = pending
    name = "run-" + one.event.object.key
    print(name, file=journal, flush=True)
    step("journal")
    store.mark_started(one.number, name)
    step("started")
    store.mark_finished(name, "SUCCEEDED")
    step("finished")
step("end")
"""


def test_kill_between_any_two_steps(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "events.db"), str(tmp_path / "journal")]
    for steps in (3, 12, 13, 14, 15, 14, 18):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            for _ in range(steps):
                child.stdout.readline()
            os.kill(child.pid, signal.SIGKILL)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=WAIT)
    store = EventStore(tmp_path / "events.db")
    assert store.counts() == {"pending": 0, "started": 0, "done": 12, "failed": 0, "stale": 0}
    store.close()
    begun = Counter((tmp_path / "journal").read_text().split())
    assert set(begun) == {f"run-{number}.csv" for number in range(12)}


KEYS = ("a.csv", "b.csv")


class Deliveries(RuleBasedStateMachine):
    """Versions of two keys, delivered in any order and number, while a dispatcher starts and ends executions."""

    versions = Bundle("versions")

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = EventStore(Path(self.folder.name) / "events.db")
        self.clock = dict.fromkeys(KEYS, 0)
        self.delivered: dict[str, dict[int, str]] = {key: {} for key in KEYS}
        self.started: list[str] = []

    @rule(target=versions, key=st.sampled_from(KEYS), etag=st.sampled_from("xyz"))
    def write(self, key: str, etag: str) -> ObjectCreated:
        self.clock[key] += 1
        return event(key, etag, f"{self.clock[key]:x}")

    @rule(one=versions, times=st.integers(1, 3))
    def deliver(self, one: ObjectCreated, times: int) -> None:
        self.delivered[one.object.key][int(one.object.sequencer, 16)] = one.object.etag
        results = [bool(self.store.record(one, "d")) for _ in range(times)]
        assert not any(results[1:])

    @rule(some=st.lists(versions, max_size=5))
    def deliver_many(self, some: list[ObjectCreated]) -> None:
        for one in some:
            self.delivered[one.object.key][int(one.object.sequencer, 16)] = one.object.etag
        self.store.record_many([(one, "d") for one in some])

    @rule()
    def start_one(self) -> None:
        for one in self.store.pending(1):
            name = f"{one.event.object.key}-{one.event.object.sequencer}"
            self.started.append(name)
            self.store.mark_started(one.number, name)

    @rule(good=st.booleans())
    def end_one(self, good: bool) -> None:
        for name in self.store.started()[:1]:
            self.store.mark_finished(name, "SUCCEEDED" if good else "FAILED")

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = EventStore(Path(self.folder.name) / "events.db")

    @invariant()
    def every_version_once_and_the_last_one_wins(self) -> None:
        if not hasattr(self, "store"):
            return
        found = self.store.all()
        assert len(found) == sum(len(versions) for versions in self.delivered.values())
        assert len(self.started) == len(set(self.started))
        for key, versions in self.delivered.items():
            mine = [one for one in found if one.event.object.key == key]
            assert sum(one.state == "pending" for one in mine) <= 1
            if versions:
                winner = [one for one in mine if one.state != "stale"][-1]
                assert winner.event.object.etag == versions[max(versions)]
                newest = [one for one in mine if int(one.event.object.sequencer, 16) == max(versions)][-1]
                assert newest.state != "stale" or winner.state != "failed", "what landed last may still be loaded"

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


Deliveries.TestCase.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestDeliveries = Deliveries.TestCase
