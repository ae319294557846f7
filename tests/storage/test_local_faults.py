"""What can go wrong on a local disk: crashes, races, links, strange files, full and failing disks."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import pytest
from support.faulty import FaultyDisk
from support.stores import raised

from lakehead.errors import Busy, ConfigError, InvalidKey, LakeheadError, ObjectNotFound, StorageUnavailable
from lakehead.storage import LocalStore, Move, Put
from lakehead.storage.etags import EtagCache


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "data")
    store.create_bucket("b")
    return store


def keys_of(store: LocalStore) -> list[str]:
    return [info.key for info in store.list("b")]


def in_child(script: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE)


PUT_FOREVER = """
import sys
from pathlib import Path
from lakehead.storage import LocalStore
store = LocalStore(Path(sys.argv[1]))
print("ready", flush=True)
number = 0
while True:
    number += 1
    store.put("b", "k", b"%08d" % number * 100_000)
"""


def test_a_kill_in_the_middle_of_puts_leaves_one_whole_object(local: LocalStore, tmp_path: Path) -> None:
    dice = random.Random(1)
    for _ in range(6):
        child = in_child(PUT_FOREVER, str(local.root))
        assert child.stdout is not None
        with child.stdout:
            child.stdout.readline()
            threading.Event().wait(dice.uniform(0.0, 0.08))
            child.kill()
        assert child.wait(10) == -signal.SIGKILL
        assert keys_of(local) in ([], ["k"])
        if keys_of(local):
            content = local.get("b", "k")
            assert content == content[:8] * 100_000
    local.put("b", "k", b"goes on")
    assert local.get("b", "k") == b"goes on"
    for path in local.stale_staging("b", timedelta()):
        path.unlink()
    assert list(local.stale_staging("b", timedelta())) == []


CLAIM = """
import sys
from pathlib import Path
from lakehead.errors import PreconditionFailed
from lakehead.storage import LocalStore
store = LocalStore(Path(sys.argv[1]))
won = 0
for number in range(60):
    sys.stdin.readline()
    try:
        store.put("b", f"k{number}", sys.argv[2].encode(), if_none_match=True)
        won += 1
    except PreconditionFailed:
        pass
    print(won, flush=True)
"""


def test_of_two_processes_that_put_if_nothing_is_there_one_wins(local: LocalStore) -> None:
    command = [sys.executable, "-c", CLAIM, str(local.root)]
    with (
        subprocess.Popen([*command, "one"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one,
        subprocess.Popen([*command, "two"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as two,
    ):
        wins = {"one": 0, "two": 0}
        for number in range(60):
            for child in (one, two):
                assert child.stdin
                child.stdin.write("go\n")
                child.stdin.flush()
            for name, child in (("one", one), ("two", two)):
                assert child.stdout
                wins[name] = int(child.stdout.readline())
            assert sum(wins.values()) == number + 1
        winners = [local.get("b", f"k{number}").decode() for number in range(60)]
    assert wins == {"one": winners.count("one"), "two": winners.count("two")}


COUNT_UP = """
import sys
from pathlib import Path
from lakehead.errors import PreconditionFailed
from lakehead.storage import LocalStore
store = LocalStore(Path(sys.argv[1]))
for _ in range(40):
    while True:
        data, etag = store.get_with_etag("b", "counter")
        try:
            store.put("b", "counter", str(int(data) + 1).encode(), if_match=etag)
            break
        except PreconditionFailed:
            continue
"""


def test_if_match_loses_no_update_between_processes(local: LocalStore) -> None:
    local.put("b", "counter", b"0")
    children = [in_child(COUNT_UP, str(local.root)) for _ in range(3)]
    for child in children:
        child.communicate(timeout=60)
        assert child.returncode == 0
    assert local.get("b", "counter") == b"120"


def test_a_lock_keeps_others_out_for_a_bounded_time(local: LocalStore) -> None:
    impatient = LocalStore(local.root, lock_seconds=0.05)
    with local.lock("b", "object-1"):
        with pytest.raises(Busy, match="lock"), impatient.lock("b", "object-1"):
            pass
        with impatient.lock("b", "content-1"):
            pass
    with impatient.lock("b", "object-1"):
        pass


def test_locks_that_are_held_together_keep_out_whoever_wants_one_of_them(local: LocalStore) -> None:
    impatient = LocalStore(local.root, lock_seconds=0.05)
    with local.lock("b", "object-1", "object-2"):
        for names in (["object-2"], ["object-3", "object-1"]):
            with pytest.raises(Busy, match="lock"), impatient.lock("b", *names):
                pass
        with impatient.lock("b", "object-3"):
            pass
    with impatient.lock("b", "object-2", "object-1"):
        pass


# Order of durable steps ---------------------------------------------------------------------------------------------


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The names of what was fsynced, renamed and linked, in order."""
    seen: list[tuple[str, str]] = []
    fsync, rename, link = os.fsync, os.rename, os.link

    def watched_fsync(descriptor: int) -> None:
        seen.append(("fsync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def watched_rename(source: str, target: str) -> None:
        seen.append(("rename", Path(target).name))
        rename(source, target)

    def watched_link(source: str, target: str, **options: bool) -> None:
        seen.append(("link", Path(target).name))
        link(source, target, **options)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    monkeypatch.setattr(os, "link", watched_link)
    return seen


def test_a_put_is_durable_before_and_after_it_gets_its_name(local: LocalStore, steps: list[tuple[str, str]]) -> None:
    local.put("b", "x/y/k", b"1")
    (temporary, *rest) = steps
    assert temporary[0] == "fsync"
    assert rest[0] == ("rename", "k")
    assert {name for kind, name in rest[1:] if kind == "fsync"} == {"b", "x", "y"}
    steps.clear()
    local.put("b", "x/y/new", b"1", if_none_match=True)
    assert [kind for kind, _ in steps] == ["fsync", "link", "fsync"]
    assert steps[-1] == ("fsync", "y")


def test_many_puts_are_durable_before_they_get_their_names_and_their_directories_after(
    local: LocalStore, steps: list[tuple[str, str]]
) -> None:
    local.put_all("b", [Put(f"x/{number}", b"1") for number in range(3)])
    kinds = [kind for kind, _ in steps]
    assert kinds[:3] == ["fsync"] * 3 and kinds[3:6] == ["link"] * 3
    assert sorted(steps[6:]) == [("fsync", "b"), ("fsync", "x")]


def test_many_moves_fsync_every_file_first_and_every_directory_once(
    local: LocalStore, steps: list[tuple[str, str]]
) -> None:
    staging = local.staging_dir("b", "a")
    moves = []
    for number in range(6):
        (staging / f"s{number}").write_bytes(b"x")
        moves.append(Move(staging / f"s{number}", f"p{number % 2}/f{number}"))
    local.move_files("b", moves)
    for number in range(6):
        assert steps.index(("fsync", f"s{number}")) < steps.index(("rename", f"f{number}"))
    last_rename = max(index for index, step in enumerate(steps) if step[0] == "rename")
    assert sorted(steps[last_rename + 1 :]) == [("fsync", "b"), ("fsync", "p0"), ("fsync", "p1")]


# Failing disks ------------------------------------------------------------------------------------------------------


def failing(monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(code, os.strerror(code), "somewhere")

    monkeypatch.setattr(os, name, fail)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EMFILE])
def test_what_was_put_before_another_failed_is_durable(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    disk = FaultyDisk(code=code, fails=lambda name, path: name == "link" and path.name == "1")
    disk.install(monkeypatch)
    told = local.put_all("b", [Put(f"new/{number}/{number}", b"1") for number in range(3)])
    assert [type(one) for one in told] == [type(None), StorageUnavailable, type(None)]
    assert keys_of(local) == ["new/0/0", "new/2/2"]
    assert disk.would_lose(local.root / "b" / key for key in keys_of(local)) == set()


def test_what_was_moved_before_another_failed_is_durable(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    staging = local.staging_dir("b", "a")
    for number in range(3):
        (staging / str(number)).write_bytes(b"1")
    disk = FaultyDisk(code=errno.EIO, fails=lambda name, path: name == "rename" and path.name == "1")
    disk.install(monkeypatch)
    told = local.move_files("b", [Move(staging / str(number), f"new/{number}/{number}") for number in range(3)])
    assert [type(one) for one in told] == [type(None), StorageUnavailable, type(None)]
    assert disk.would_lose(local.root / "b" / key for key in keys_of(local)) == set()


@pytest.mark.parametrize("again", [True, False])
def test_what_a_failed_put_left_is_made_durable_by_the_next(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """The folders that it made are there then, and so is the object, so that nobody would make them again."""
    disk = FaultyDisk(code=errno.EIO, fails=lambda name, path: name == "fsync" and path.is_dir())
    disk.install(monkeypatch)
    with pytest.raises(StorageUnavailable):
        local.put_all("b", [Put("new/folder/1", b"1")])
    disk.fails = None
    if again:
        local.make_durable("b", ["new/folder/1"])
    else:
        local.put("b", "new/folder/2", b"1")
    assert disk.would_lose(local.root / "b" / key for key in keys_of(local)) == set()


def test_folders_of_another_process_are_made_durable(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have died between making them and the fsync."""
    disk = FaultyDisk()
    disk.install(monkeypatch)
    (local.root / "b/new/folder").mkdir(parents=True)
    local.put("b", "new/folder/1", b"1")
    assert disk.would_lose([local.root / "b/new/folder/1"]) == set()


def test_a_folder_that_was_removed_and_made_again_is_made_durable_again(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FaultyDisk()
    disk.install(monkeypatch)
    for _ in range(2):
        local.put("b", "new/folder/1", b"1")
        assert disk.would_lose([local.root / "b/new/folder/1"]) == set()
        local.delete("b", "new/folder/1")


def test_many_files_are_fsynced_also_where_no_thread_can_be_started(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[str, str]]
) -> None:
    """As when the interpreter is ending."""

    def refuse(*_: object) -> None:
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    assert list(local.put_all("b", [Put(f"x/{number}", b"1") for number in range(3)])) == [None] * 3
    assert [kind for kind, _ in steps] == ["fsync"] * 3 + ["link"] * 3 + ["fsync"] * 2


def test_a_staged_file_that_is_gone_is_no_missing_bucket(local: LocalStore) -> None:
    (told,) = local.move_files("b", [Move(local.staging_dir("b", "a") / "gone", "k")])
    assert isinstance(told, StorageUnavailable)
    assert "gone" in told.where["path"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EMFILE, errno.EDQUOT])
@pytest.mark.parametrize("step", ["fsync", "rename", "open"])
def test_a_failing_disk_is_unavailable_storage_and_leaves_the_old_object(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch, code: int, step: str
) -> None:
    local.put("b", "k", b"old")
    with monkeypatch.context() as patch:
        failing(patch, step, code)
        with pytest.raises(StorageUnavailable) as caught:
            local.put("b", "k", b"new")
    assert caught.value.retryable
    assert caught.value.hint
    assert caught.value.where["bucket"] == "b"
    assert local.get("b", "k") == b"old"
    assert keys_of(local) == ["k"]


def test_missing_rights_are_a_matter_of_settings(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "rename", errno.EACCES)
    with pytest.raises(ConfigError, match="Give this user access"):
        local.put("b", "k", b"")


# Links, strange files and clashes -----------------------------------------------------------------------------------


def every_read_and_write(local: LocalStore, key: str, source: Path) -> list[Callable[[], object]]:
    return [
        lambda: local.head("b", key),
        lambda: local.get("b", key),
        lambda: local.open("b", key),
        lambda: local.put("b", key, b"new"),
        lambda: local.put("b", key, b"new", if_none_match=True),
        lambda: local.put_file("b", key, source),
        lambda: raised(local.move_files("b", [Move(source, key)])),
        lambda: raised(local.put_all("b", [Put(key, b"new")])),
        lambda: local.delete("b", key),
    ]


def test_symbolic_links_are_refused_and_left_out_of_listings(local: LocalStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    bucket = local.root / "b"
    (bucket / "file").symlink_to(outside / "secret")
    (bucket / "folder").symlink_to(outside)
    (bucket / "broken").symlink_to(outside / "missing")
    source = tmp_path / "source"
    source.write_bytes(b"")
    for key in ("file", "folder/secret", "folder/new", "broken"):
        for call in every_read_and_write(local, key, source):
            with pytest.raises(InvalidKey, match="symbolic link"):
                call()
    assert keys_of(local) == []
    assert {path.name for path, reason in local.strays("b") if "link" in reason} == {"file", "folder", "broken"}
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_a_bucket_that_is_a_link_is_refused(local: LocalStore, tmp_path: Path) -> None:
    (local.root / "linked").symlink_to(tmp_path)
    for call in (lambda: list(local.list("linked")), lambda: local.create_bucket("linked")):
        with pytest.raises(InvalidKey, match="symbolic link"):
            call()


def test_pipes_and_names_that_are_no_text_are_told_not_listed(local: LocalStore) -> None:
    bucket = local.root / "b"
    os.mkfifo(bucket / "pipe")
    (bucket / os.fsdecode(b"latin-\xe9.csv")).write_bytes(b"")
    (bucket / "back\\slash.csv").write_bytes(b"")
    (bucket / ".%41").write_bytes(b"")
    (bucket / "good.csv").write_bytes(b"")
    assert keys_of(local) == ["good.csv"]
    assert len(local.strays("b")) == 4
    with pytest.raises(InvalidKey, match="special file"):
        local.get("b", "pipe")


def test_a_file_that_a_person_copied_is_an_object_under_its_path(local: LocalStore) -> None:
    copied = ["in/100%.csv", "in/report%20final.csv", "in/tab\there\nnew line.csv"]
    for key in copied:
        path = local.root / "b" / key
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(key.encode())
    assert keys_of(local) == copied
    assert local.local_path("b", "in/100%.csv") == local.root / "b/in/100%.csv"
    for key in copied:
        assert local.head("b", key).size == len(local.get("b", key))


def test_a_key_and_a_key_below_it_cannot_both_be(local: LocalStore, tmp_path: Path) -> None:
    local.put("b", "a", b"1")
    local.put("b", "c/d", b"2")
    for key in ("a/b", "a/b/c", "c"):
        for exclusive in (False, True):
            with pytest.raises(InvalidKey, match="taken"):
                local.put("b", key, b"", if_none_match=exclusive)
    assert keys_of(local) == ["a", "c/d"]


def test_modes_are_safe_whatever_the_umask_and_the_source(local: LocalStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"")
    source.chmod(0o6777)
    before = os.umask(0)
    try:
        local.put("b", "x/put", b"")
        local.put_file("b", "x/copied", source)
        local.put_file("b", "x/moved", source, move=True)
    finally:
        os.umask(before)
    root = local.root / "b" / "x"
    assert {stat.S_IMODE(path.stat().st_mode) for path in root.iterdir()} == {0o644}
    assert stat.S_IMODE(root.stat().st_mode) == 0o755


def test_a_delete_removes_the_directories_that_it_empties(local: LocalStore) -> None:
    local.put("b", "x/y/1", b"")
    local.put("b", "x/2", b"")
    local.delete("b", "x/y/1")
    assert not (local.root / "b/x/y").exists()
    local.delete("b", "x/2")
    assert not (local.root / "b/x").exists()
    assert (local.root / "b").exists()
    local.put("b", "x", b"now a file")


def test_puts_and_deletes_of_neighbours_do_not_disturb_each_other(local: LocalStore) -> None:
    errors: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for _ in range(60):
                local.put("b", f"x/y/{name}", b"1")
                local.delete("b", f"x/y/{name}")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert keys_of(local) == []


def test_no_error_shows_a_traceback_of_the_operating_system(local: LocalStore) -> None:
    with pytest.raises(ObjectNotFound) as caught:
        local.get("b", "missing")
    assert isinstance(caught.value, LakeheadError)
    assert caught.value.where["path"].endswith("missing")


# Etags --------------------------------------------------------------------------------------------------------------


def test_an_etag_is_the_sha256_of_what_is_there_now(local: LocalStore) -> None:
    path = local.root / "b" / "k"
    for number in range(50):  # in place, same size, within the same tick of the clock
        path.write_bytes(b"%04d" % number)
        assert local.head("b", "k").etag == hashlib.sha256(b"%04d" % number).hexdigest()


@pytest.mark.parametrize(("age_ns", "reads"), [(10**9, 1), (10**6, 2)])
def test_a_file_is_read_once_unless_it_changed_in_this_tick_of_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_ns: int, reads: int
) -> None:
    path = tmp_path / "k"
    path.write_bytes(b"content")
    now, opened = path.stat().st_ctime_ns + age_ns, []

    def counted(path: Path) -> BinaryIO:
        opened.append(path)
        return path.open("rb")

    monkeypatch.setattr("lakehead.storage.etags.time.time_ns", lambda: now)
    monkeypatch.setattr("lakehead.storage.etags.open_for_reading", counted)
    cache = EtagCache()
    assert cache.of(path)[0] == cache.of(path)[0] == hashlib.sha256(b"content").hexdigest()
    assert len(opened) == reads
