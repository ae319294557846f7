"""Real files from other processes, really watched. Listing happens only at the start, unless a test asks for it."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from lakehead.errors import StorageUnavailable
from lakehead.events import DatasetRule, ZoneWatcher
from lakehead.events.complete import is_being_written

WAIT = 20.0

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="close and move events are Linux's")


def shell(script: str, folder: Path) -> None:
    subprocess.run(["sh", "-ec", script], cwd=folder, check=True, timeout=WAIT)


class Writer:
    """Another process that writes to a file when it is told to."""

    PROGRAM = """
import sys
stream = open(sys.argv[1], "w")
for line in sys.stdin:
    if line == "close\\n":
        stream.close()
    else:
        stream.write(line)
        stream.flush()
    print("done", flush=True)
"""

    def __init__(self, path: Path) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, line: str) -> None:
        assert self.child.stdin is not None and self.child.stdout is not None
        print(line, file=self.child.stdin, flush=True)
        assert self.child.stdout.readline() == "done\n"

    def end(self) -> None:
        self.child.communicate(timeout=WAIT)


def test_a_slow_writer_is_waited_for(watched: Any) -> None:
    writer = Writer(watched.folder / "slow.csv")
    writer.tell("order_id,product")
    for number in range(3):
        writer.tell(f"{number},Laptop")
        shell(f"echo {number} > marker{number}.csv", watched.folder)
        watched.seen.wait_for(number + 1)  # the watcher is past what the slow writer did
        watched.watcher.reconcile_now()  # and a listing does not take it either
        watched.seen.wait_for_listings(number + 2)
    assert "slow.csv" not in watched.names()
    writer.tell("close")
    last = watched.seen.wait_for(4)[-1]
    writer.end()
    assert last.event.object.key == "sales/orders/slow.csv"
    assert last.event.object.etag == watched.etag("slow.csv")
    assert last.event.object.size == (watched.folder / "slow.csv").stat().st_size


@pytest.mark.parametrize(
    "script",
    [
        "echo x > a.csv",
        "echo x > .a.csv.part; mv .a.csv.part a.csv",
        "echo x > ../../a.tmp; mv ../../a.tmp a.csv",
        "echo x > ../../../../outside; mv ../../../../outside a.csv",
        "echo x > ../../../../outside; cp -p ../../../../outside a.csv",
        "echo x > ../../../../outside; ln ../../../../outside a.csv",
        "echo x > ../../../../outside; touch -d 2001-01-01 ../../../../outside; cp -p ../../../../outside a.csv",
        "echo x | dd of=a.csv status=none conv=fsync",
        "printf '' > a.csv",
    ],
)
def test_every_way_to_land_a_file(watched: Any, script: str) -> None:
    shell(script, watched.folder)
    (one,) = watched.seen.wait_for(1)
    assert one.event.object.key == "sales/orders/a.csv"
    assert one.event.object.etag == watched.etag("a.csv")


def test_what_the_store_puts_is_seen(watched: Any) -> None:
    watched.store.put("raw", "sales/orders/a.csv", b"1")
    watched.store.put("raw", "sales/orders/b.csv", b"2", if_none_match=True)
    source = watched.root / "c"
    source.write_bytes(b"3")
    watched.store.put_file("raw", "sales/orders/deep/c.csv", source, move=True)
    watched.seen.wait_for(3)
    assert watched.names() == ["a.csv", "b.csv", "deep/c.csv"]


def test_a_file_rewritten_is_a_new_version_and_the_same_bytes_are_not(watched: Any) -> None:
    shell("echo 1 > a.csv", watched.folder)
    watched.seen.wait_for(1)
    shell("echo 1 > a.csv; touch a.csv; chmod 600 a.csv; echo 2 > b.csv", watched.folder)
    watched.seen.wait_for(2)
    shell("echo 3 > a.csv", watched.folder)
    watched.seen.wait_for(3)
    assert watched.names() == ["a.csv", "a.csv", "b.csv"]
    first, _, last = watched.seen.recorded
    assert int(first.event.object.sequencer, 16) < int(last.event.object.sequencer, 16)


def test_an_older_file_copied_over_a_newer_one_is_newer(watched: Any) -> None:
    shell("echo old > ../../../../old; touch -d 2001-01-01 ../../../../old; echo new > a.csv", watched.folder)
    watched.seen.wait_for(1)
    shell("cp -p ../../../../old a.csv", watched.folder)
    first, last = watched.seen.wait_for(2)
    assert int(first.event.object.sequencer, 16) < int(last.event.object.sequencer, 16)
    assert last.event.object.etag == watched.etag("a.csv")


def test_hidden_and_temporary_names_are_left_alone(watched: Any) -> None:
    shell("mkdir _x .y; echo 1 > .a.csv; echo 1 > _b.csv; echo 1 > c.csv~; echo 1 > _x/d.csv", watched.folder)
    shell(
        "echo 1 > .y/e.csv; echo 1 > f.csv.part; ln -s /etc/hostname g.csv; mkfifo h.csv; mkdir i.csv", watched.folder
    )
    shell("echo 1 > good.csv", watched.folder)
    watched.seen.wait_for(1)
    watched.watcher.reconcile_now()
    watched.seen.wait_for_listings(2)
    assert watched.names() == ["good.csv"]


def test_names_that_no_key_can_have_are_left_alone(watched: Any) -> None:
    (watched.folder / os.fsdecode(b"bad\xff.csv")).write_text("1")
    (watched.folder / "back\\slash.csv").write_text("1")
    (watched.folder / "grün + 100% 🚢.csv").write_text("1")
    watched.seen.wait_for(1)
    assert watched.names() == ["grün + 100% 🚢.csv"]


def test_files_in_new_folders_are_found(watched: Any) -> None:
    script = "for i in $(seq 40); do mkdir -p new$i/a/b; echo $i > new$i/a/b/x.csv; echo $i > new$i/y.csv; done"
    shell(script, watched.folder)
    watched.seen.wait_for(80)
    assert len(set(watched.names())) == 80


def test_a_whole_tree_moved_in_is_found(watched: Any) -> None:
    shell("mkdir -p t/a/b t/c; echo 1 > t/a/b/x.csv; echo 2 > t/c/y.csv; echo 3 > t/z.csv", watched.root)
    shell("mv ../../../../t in; mv in again", watched.folder)
    for name in ("a/b/x.csv", "c/y.csv", "z.csv"):
        watched.seen.wait_for_name(f"again/{name}")
    shell("echo 4 > again/a/b/late.csv", watched.folder)
    watched.seen.wait_for_name("again/a/b/late.csv")


def test_hundreds_at_once(watched: Any) -> None:
    program = """
import sys, threading, pathlib
def write(part):
    for number in range(100):
        path = pathlib.Path(f"ingest_date=2025-01-{part:02}/{number}.csv")
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{part} {number}\\n")
threads = [threading.Thread(target=write, args=(part,)) for part in range(1, 6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
    subprocess.run([sys.executable, "-c", program], cwd=watched.folder, check=True, timeout=WAIT)
    watched.seen.wait_for(500)
    assert len(set(watched.names())) == 500
    assert watched.events.counts()["pending"] == 500


def test_what_landed_before_the_start_is_found(zone: Any) -> None:
    (zone.folder / "early.csv").write_text("1")
    watcher = ZoneWatcher(zone.store, "raw", [DatasetRule("sales/orders", "raw")], zone.events)
    with watcher:
        assert zone.events.wait_for_pending(WAIT)
    assert zone.pending() == ["sales/orders/early.csv"]


def test_after_an_overflow_everything_is_listed(watched: Any) -> None:
    shell("echo 1 > a.csv", watched.folder)
    watched.seen.wait_for(1)
    logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed; filesystem events were lost")
    watched.seen.wait_for_listings(2)


def test_a_real_overflow_loses_nothing(watched: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """The reader of the kernel's queue is held until the queue has overflowed."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 20_000:
        pytest.skip("the kernel's queue is too long to overflow in a test")
    from watchdog.observers.inotify_c import InotifyFD

    held, read = threading.Event(), InotifyFD.read_events

    def slow(self: InotifyFD, **options: Any) -> Any:
        held.wait(WAIT)
        return read(self, **options)

    monkeypatch.setattr(InotifyFD, "read_events", slow)
    shell("echo 1 > before.csv", watched.folder)
    for number in range(limit + 100):
        (watched.folder / f"_{number % 2}").write_bytes(b"")
    shell("echo 1 > after.csv", watched.folder)
    held.set()
    watched.seen.wait_for(2)
    assert watched.names() == ["after.csv", "before.csv"]
    assert "overflow" in caplog.text


def test_a_bucket_that_was_replaced_is_watched_anew(watched: Any) -> None:
    shutil.rmtree(watched.root / "data" / "raw")
    watched.folder.mkdir(parents=True)
    for emitter in watched.watcher._observer.emitters:
        emitter.join(WAIT)  # the system has told it; until then a listing would take the watch for a living one
    watched.watcher.reconcile_now()
    watched.seen.wait_for_listings(2)
    shell("echo 1 > a.csv", watched.folder)
    watched.seen.wait_for(1)
    assert watched.names() == ["a.csv"]


def test_trouble_is_told_and_looked_for_again(watched: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr("lakehead.events.watch.AFTER_TROUBLE_SECONDS", 0.01)
    observe, failures = watched.events.observe, [StorageUnavailable("disk full"), ZeroDivisionError("bug")]

    def failing(found: Any) -> Any:
        if failures:
            raise failures.pop(0)
        return observe(found)

    monkeypatch.setattr(watched.events, "observe", failing)
    shell("echo 1 > a.csv", watched.folder)
    watched.seen.wait_for(1)
    assert "disk full" in caplog.text


def test_a_linked_file_of_no_bytes_settles(watched: Any) -> None:
    shell(": > ../../../../empty; ln ../../../../empty a.csv", watched.folder)
    watched.seen.wait_for(1)


def test_without_leases_the_watcher_still_waits(watched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehead.events.zone.is_being_written", lambda path: None)
    shell("echo 1 > ../../../../one; ln ../../../../one a.csv; mkdir n; echo 2 > n/b.csv", watched.folder)
    watched.seen.wait_for(2)
    assert watched.names() == ["a.csv", "n/b.csv"]


def test_without_leases_a_slow_writer_is_waited_for(watched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehead.events.zone.is_being_written", lambda path: None)
    monkeypatch.setattr(watched.watcher, "_settle_seconds", 3600.0)
    writer = Writer(watched.folder / "slow.csv")
    writer.tell("half")
    shell("echo 1 > marker.csv", watched.folder)
    watched.seen.wait_for(1)
    writer.tell("whole")
    writer.tell("close")
    watched.seen.wait_for(2)
    writer.end()
    assert watched.names() == ["marker.csv", "slow.csv"]
    assert watched.seen.recorded[-1].event.object.etag == watched.etag("slow.csv")


def test_where_nothing_can_be_watched_listing_goes_on(zone: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def refuse(*_: Any) -> Any:
        raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr("lakehead.events.watch._new_observer", refuse)
    watcher = ZoneWatcher(zone.store, "raw", [DatasetRule("sales/orders", "raw")], zone.events, reconcile_seconds=0.05)
    with watcher:
        (zone.folder / "a.csv").write_text("1")
        assert zone.events.wait_for_pending(WAIT)
    assert "cannot watch" in caplog.text


def test_stopping_ends_every_thread(zone: Any) -> None:
    before = set(threading.enumerate())
    watcher = ZoneWatcher(zone.store, "raw", [DatasetRule("sales/orders", "raw")], zone.events)
    watcher.start()
    watcher.stop()
    assert [thread for thread in set(threading.enumerate()) - before if thread.is_alive()] == []


def test_asking_who_writes_hurts_nobody(zone: Any) -> None:
    """A lease makes whoever opens the file for writing wait, and signals us. Neither may be noticed."""
    path = zone.folder / "a.csv"
    path.write_text("1")
    if is_being_written(path) is None:
        pytest.skip("this file system does not tell who writes")
    program = "import sys\nfor _ in range(3000): open(sys.argv[1], 'a').close()"
    child = subprocess.Popen([sys.executable, "-c", program, str(path)])
    while child.poll() is None:
        assert is_being_written(path) in (True, False)
    assert child.returncode == 0
    assert is_being_written(path) is False
