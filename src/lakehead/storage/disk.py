"""Durable steps on a local disk, and what its errors mean. A rename lasts once its directory was fsynced."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

from lakehead.errors import BucketNotFound, ConfigError, InvalidKey, LakeheadError, ObjectNotFound, StorageUnavailable
from lakehead.storage.keys import PRIVATE

FILE_MODE = 0o644
DIRECTORY_MODE = 0o755
FSYNCS_AT_ONCE = 8
KNOWN_FOLDERS = 10_000
"""Of how many directories it is kept in mind that their names last; beyond that it is found out again."""

_UNAVAILABLE = {
    errno.ENOSPC: "The disk is full: free some space.",
    errno.EDQUOT: "The disk quota is used up: free some space.",
    errno.EIO: "The disk reports a fault: look at the system log and at the disk's health.",
    errno.EROFS: "The file system is read-only: look at the system log, then remount it writable.",
    errno.EMFILE: "This process has too many open files: raise `ulimit -n`.",
    errno.ENFILE: "The machine has too many open files: raise fs.file-max.",
}


@contextlib.contextmanager
def explained(bucket: str, key: str = "", path: Path | None = None) -> Iterator[None]:
    """Turn the operating system's errors into Lakehead's."""
    try:
        yield
    except OSError as error:
        raise _explain(error, bucket, key, path) from error


def _explain(error: OSError, bucket: str, key: str, path: Path | None) -> LakeheadError:
    where: dict[str, Any] = {"bucket": bucket, "key": key or None, "path": str(error.filename or path or "") or None}
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno == errno.ENOENT:
        if f"/{PRIVATE}/" in str(error.filename):
            hint = "Try again; if it stays, look what else cleans up there."
            return StorageUnavailable("a file that was being worked on is gone", hint=hint, **where)
        return ObjectNotFound("no such object", **where) if key else BucketNotFound("no such bucket", **where)
    if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
        hint = "A directory cannot hold a file and a folder of one name: choose another key."
        return InvalidKey("the key's place is taken by a folder, or by an object above it", hint=hint, **where)
    if error.errno == errno.ENAMETOOLONG:
        return InvalidKey("the key is too long for this file system", hint="Choose a shorter key.", **where)
    if error.errno == errno.ELOOP:
        return InvalidKey("the key leads through a symbolic link", hint="Replace it by a real file or folder.", **where)
    if error.errno in (errno.EACCES, errno.EPERM):
        return ConfigError(f"the store may not do this: {reason}", hint="Give this user access to the path.", **where)
    hint = _UNAVAILABLE.get(error.errno or 0, "Try again; if it stays, look at the disk.")
    return StorageUnavailable(f"the disk did not do its work: {reason}", hint=hint, **where)


def open_for_reading(path: Path) -> BinaryIO:
    """A file's bytes. A symbolic link raises OSError(ELOOP)."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


def create(path: Path) -> BinaryIO:
    """A new file that only its owner may write."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE), "wb")


def fsync_files(paths: Iterable[Path]) -> None:
    """Make the files' content last."""
    _fsync_all(list(paths), os.O_RDONLY)


def fsync_directories(paths: Iterable[Path]) -> None:
    """Make the names in these directories last; each directory once. One that is gone has no names to keep."""
    _fsync_all(sorted({path for path in paths if path.is_dir()}), os.O_RDONLY | os.O_DIRECTORY)


def _fsync_all(paths: Sequence[Path], flags: int) -> None:
    if len(paths) < 2:
        for path in paths:
            _fsync(path, flags)
        return
    # File systems carry out at once what is asked for at once: of forty files, a tenth of the time of one by one.
    begun: list[Future[None]] = []
    with (
        ThreadPoolExecutor(min(len(paths), FSYNCS_AT_ONCE)) as pool,
        contextlib.suppress(RuntimeError),  # there are no more threads: the interpreter ends, or the system has none
    ):
        for path in paths:
            begun.append(pool.submit(_fsync, path, flags))
    for one in begun:
        one.result()  # asked for once only: a second fsync would not tell of the first one's failure
    for path in paths[len(begun) :]:
        _fsync(path, flags)


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(descriptor)


class Folders:
    """Makes the directories of a store, and makes names in them last. Safe between threads.

    That a directory is there does not tell that its name lasts: another thread, an attempt that failed or a process
    that crashed may have made it without coming to the fsync. So a directory counts as lasting only once this store has
    fsynced the one above it; then that need not be done for each file in it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lasting: set[Path] = set()
        self._made = 0

    def make(self, path: Path, *, below: Path) -> None:
        """Make `path` and what is missing between it and `below`, which exists."""
        missing: list[Path] = []
        step = path
        while step != below and not step.is_dir():
            missing.append(step)
            step = step.parent
        if missing:
            with self._lock:
                self._lasting.difference_update(missing)
                self._made += 1
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=DIRECTORY_MODE)

    def make_last(self, paths: Iterable[Path], *, below: Path) -> None:
        """Make the names of these files last, and those of the directories between them and `below`."""
        folders = {path.parent for path in paths}
        named: set[Path] = set()
        with self._lock:
            made = self._made
            for folder in folders:
                for step in (folder, *folder.parents):
                    if step == below or step in self._lasting:
                        break
                    named.add(step)
        fsync_directories(folders | {folder.parent for folder in named})
        with self._lock:
            # What was made in the meantime may have been removed before, and its new name not be fsynced.
            if made == self._made:
                if len(self._lasting) > KNOWN_FOLDERS:
                    self._lasting.clear()
                self._lasting |= named


def remove_empty_directories(path: Path, *, below: Path) -> None:
    """Remove `path` and its parents as long as they are empty, but never `below`."""
    with contextlib.suppress(OSError):
        while path != below:
            path.rmdir()
            path = path.parent


def make_safe(path: Path) -> None:
    """Take write access from group and others, and execution from all."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & ~FILE_MODE:
        path.chmod(mode & FILE_MODE)


def take_write_access(folder: Path) -> None:
    """Take write access to a folder of this user's from group and others."""
    status = folder.stat()
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o022 and status.st_uid == os.geteuid():
        folder.chmod(mode & ~0o022)


def refuse_links(path: Path, *, below: Path) -> None:
    """Raise OSError(ELOOP) where a part of `path` below `below` is a symbolic link. Parts may be missing."""
    step = str(below)
    for part in str(path.relative_to(below)).split("/"):
        step = f"{step}/{part}"
        try:
            mode = os.lstat(step).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return
        if stat.S_ISLNK(mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), step)
