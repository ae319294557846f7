"""A directory of buckets. Every put lasts once it returns, and a crash leaves the old object or the new one."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from lakehead.errors import BucketNotFound, Busy, InvalidKey, LakeheadError, ObjectNotFound, PreconditionFailed
from lakehead.private import FOLDER_MODE, own_folder
from lakehead.storage.base import Move, ObjectInfo, Put
from lakehead.storage.disk import (
    DIRECTORY_MODE,
    FILE_MODE,
    Folders,
    create,
    explained,
    fsync_directories,
    fsync_files,
    make_safe,
    open_for_reading,
    refuse_links,
    remove_empty_directories,
    take_write_access,
)
from lakehead.storage.etags import EtagCache, sha256_file
from lakehead.storage.keys import PRIVATE, check_attempt, check_bucket, check_key, to_path
from lakehead.storage.walk import Strays, walk

LOCK_SECONDS = 60.0
LOCK_FILES = 256
_TRIES = 5
_STAGING = "staging"


class LocalStore:
    """Buckets as directories below `root`, objects as files. Safe between threads and between processes.

    Every file is an object, also one that a person copied there, except symbolic links, special files and names that
    no key can have (`strays` tells them). Versions are not kept: only the current one can be read.

    The etag is the SHA-256 of the bytes. The sequencer is the ctime in nanoseconds, because nobody can set that back.
    """

    excludes = True
    etag_is_sha256 = True

    def __init__(self, root: Path, *, lock_seconds: float = LOCK_SECONDS) -> None:
        self.root = root.resolve()
        self._lock_seconds = lock_seconds
        self._etags = EtagCache()
        self._folders = Folders()

    def head(self, bucket: str, key: str, *, version_id: str = "") -> ObjectInfo:
        """The object's information. Reads the object once for its etag, then again only when it has changed."""
        path = self._existing(bucket, key, version_id)
        with explained(bucket, key, path):
            etag, status = self._etags.of(path)
        return _info(bucket, key, status, etag)

    def list(self, bucket: str, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """The bucket's objects in the order of their keys, one directory in memory at a time. Etags are empty."""
        for key, status in walk(self._bucket(bucket), bucket, prefix, start_after):
            yield _info(bucket, key, status)

    def strays(self, bucket: str) -> Strays:
        """The paths in a bucket that cannot be objects, each with the reason."""
        strays: Strays = []
        for _ in walk(self._bucket(bucket), bucket, "", "", strays=strays):
            pass
        return strays

    def get(self, bucket: str, key: str, *, version_id: str = "") -> bytes:
        """The whole object."""
        with self.open(bucket, key, version_id=version_id) as stream, explained(bucket, key):
            return stream.read()

    def get_with_etag(self, bucket: str, key: str) -> tuple[bytes, str]:
        """The whole object and its etag."""
        data = self.get(bucket, key)
        return data, hashlib.sha256(data).hexdigest()

    def get_tail(self, bucket: str, key: str, length: int) -> bytes:
        """The object's last bytes."""
        with self.open(bucket, key) as stream, explained(bucket, key):
            size = os.fstat(stream.fileno()).st_size
            stream.seek(max(0, size - length))
            return stream.read()

    def open(self, bucket: str, key: str, *, version_id: str = "", if_match: str = "") -> BinaryIO:
        """The object as a stream. A put in the meantime does not change what it reads."""
        path = self._existing(bucket, key, version_id)
        with explained(bucket, key, path):
            stream = open_for_reading(path)
            try:
                self._demand(bucket, key, path, if_match)
            except BaseException:
                stream.close()
                raise
            return stream

    def local_path(self, bucket: str, key: str) -> Path | None:
        """The object's file. Only the key is checked; whether there is an object, head() tells."""
        return to_path(self._bucket(bucket), check_key(bucket, key))

    def staging_dir(self, bucket: str, attempt: str) -> Path:
        """`<bucket>/.lakehead/staging/<attempt>`, empty; what an earlier try left there is removed."""
        path = self._private(bucket, _STAGING) / check_attempt(attempt)
        with explained(bucket, path=path):
            own_folder(path.parent)
            if path.exists():
                shutil.rmtree(path)
            path.mkdir(mode=FOLDER_MODE)
        return path

    def stale_staging(self, bucket: str, older_than: timedelta) -> Iterator[Path]:
        """Staging directories and temporary files that nobody has touched for `older_than`."""
        before = time.time() - older_than.total_seconds()
        for folder in (_STAGING, "tmp"):
            for path in sorted(self._private(bucket, folder).iterdir()):
                with contextlib.suppress(FileNotFoundError):
                    if max(found.lstat().st_mtime for found in (path, *path.rglob("*"))) <= before:
                        yield path

    def put(
        self,
        bucket: str,
        key: str,
        data: bytes,
        *,
        if_none_match: bool = False,
        if_match: str = "",
        durable: bool = True,
    ) -> ObjectInfo:
        """Write bytes as an object."""
        path = self._place(bucket, key)
        with explained(bucket, key, path), self._temporary(bucket) as temporary:
            _write(temporary, data)
            if durable:
                fsync_files([temporary])
            with self._key_lock(bucket, key):
                self._demand(bucket, key, path, if_match)
                self._rename(temporary, path, bucket, exclusive=if_none_match)
                if durable:
                    self._make_last(bucket, [path])
                status = path.stat()
        return _info(bucket, key, status, hashlib.sha256(data).hexdigest())

    def put_all(self, bucket: str, puts: Sequence[Put]) -> Sequence[LakeheadError | None]:
        """Write many objects. Files are fsynced together, as one wait for the disk serves many, directories once."""
        places: dict[int, Path] = {}

        def place(number: int) -> None:
            places[number] = self._place(bucket, puts[number].key)

        def name(number: int) -> None:
            put, path = puts[number], places[number]
            with explained(bucket, put.key, path), self._key_lock(bucket, put.key):
                self._demand(bucket, put.key, path, put.if_match)
                self._rename(temporary[number], path, bucket, exclusive=not put.if_match)

        faults = _each(range(len(puts)), place)
        with explained(bucket), contextlib.ExitStack() as stack:
            temporary = {number: stack.enter_context(self._temporary(bucket)) for number in places}
            for number, path in temporary.items():
                _write(path, puts[number].data)
            fsync_files(temporary.values())
            try:
                faults |= _each(places, name)
            finally:
                self._make_last(bucket, places.values())
        return [faults.get(number) for number in range(len(puts))]

    def make_durable(self, bucket: str, keys: Sequence[str]) -> None:
        """Fsync the objects' directories. The files themselves were fsynced before they got their names."""
        with explained(bucket):
            self._make_last(bucket, [self._place(bucket, key) for key in keys])

    def put_file(self, bucket: str, key: str, source: Path, *, move: bool = False) -> ObjectInfo:
        """Write a file as an object. With `move` on the bucket's device it is renamed, and the etag is empty."""
        path = self._place(bucket, key)
        etag = ""
        with explained(bucket, key, path), self._temporary(bucket) as temporary:
            ready = source
            if not move or not _same_device(source, temporary.parent):
                etag, ready = _copy(source, temporary), temporary
            make_safe(ready)
            fsync_files([ready])
            with self._key_lock(bucket, key):
                self._rename(ready, path, bucket)
                self._make_last(bucket, [path])
                status = path.stat()
            if move and ready is temporary:
                source.unlink()
        return _info(bucket, key, status, etag)

    def move_files(self, bucket: str, moves: Sequence[Move]) -> Sequence[LakeheadError | None]:
        """Rename many files into their places. Files are fsynced before the first is renamed, directories at the end.

        So one wait for the disk serves many: a rename in between would be one more thing to wait for.
        """
        places: dict[int, Path] = {}

        def place(number: int) -> None:
            source, key = moves[number].source, moves[number].key
            path = self._place(bucket, key)
            with explained(bucket, key, path):
                if _same_device(source, self._bucket(bucket)):
                    make_safe(source)
                    places[number] = path
                else:
                    self.put_file(bucket, key, source, move=True)

        def name(number: int) -> None:
            move, path = moves[number], places[number]
            with explained(bucket, move.key, path), self._key_lock(bucket, move.key):
                self._rename(move.source, path, bucket)

        faults = _each(range(len(moves)), place)
        with explained(bucket):
            fsync_files(moves[number].source for number in places)
            try:
                faults |= _each(places, name)
            finally:
                self._make_last(bucket, places.values())
        return [faults.get(number) for number in range(len(moves))]

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object, and the directories that are empty without it."""
        path, root = self._place(bucket, key), self._bucket(bucket)
        with explained(bucket, key, path), self._key_lock(bucket, key):
            try:
                if stat.S_ISDIR(path.lstat().st_mode):
                    return
                path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return
            with contextlib.suppress(FileNotFoundError):  # another delete removed the directory as empty
                fsync_directories([path.parent])
            remove_empty_directories(path.parent, below=root)

    def purge(self, bucket: str, key: str, *, keep_newest: bool = False, until: datetime | None = None) -> None:
        """Remove an object, which is its only version. `until` is held against the ctime, which nobody can set back."""
        if keep_newest:
            return
        if until is not None:
            path = self._place(bucket, key)
            try:
                if path.lstat().st_ctime_ns > int(until.timestamp() * 1e9):
                    return
            except (FileNotFoundError, NotADirectoryError):
                return
        self.delete(bucket, key)

    def create_bucket(self, bucket: str) -> None:
        """Make the bucket's directory."""
        path = self.root / check_bucket(bucket)
        with explained(bucket, path=path):
            self._folders.make(self.root, below=Path(self.root.anchor))
            refuse_links(path, below=self.root)
            path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
            fsync_directories([self.root])

    @contextlib.contextmanager
    def lock(self, bucket: str, *names: str) -> Iterator[None]:
        """Hold lock files of the bucket. Names of one kind (`object-...`, `content-...`) share a set of files."""
        # In one order for all, so that no two wait for each other.
        files = sorted({_lock_file(name) for name in names})
        until = time.monotonic() + self._lock_seconds
        with contextlib.ExitStack() as stack:
            for file in files:
                stack.enter_context(self._file_lock(bucket, file, max(0.0, until - time.monotonic())))
            yield

    @contextlib.contextmanager
    def try_lock(self, bucket: str, *names: str) -> Iterator[frozenset[str]]:
        """Hold those of the lock files that are free now."""
        held = set()
        with contextlib.ExitStack() as stack:
            for file in sorted({_lock_file(name) for name in names}):
                with contextlib.suppress(Busy):
                    stack.enter_context(self._file_lock(bucket, file, 0.0))
                    held.add(file)
            yield frozenset(name for name in names if _lock_file(name) in held)

    def uri(self, bucket: str, key: str) -> str:
        """The path of the object's file."""
        return str(self.local_path(bucket, key))

    def _bucket(self, bucket: str) -> Path:
        path = self.root / check_bucket(bucket)
        with explained(bucket, path=path):
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:
                mode = 0
            if stat.S_ISLNK(mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        if not stat.S_ISDIR(mode):
            hint = "Create the bucket, or look at the name in lakehead.toml."
            raise BucketNotFound("no such bucket", hint=hint, bucket=bucket, path=str(path))
        return path

    def _place(self, bucket: str, key: str) -> Path:
        root = self._bucket(bucket)
        path = to_path(root, check_key(bucket, key))
        with explained(bucket, key, path):
            refuse_links(path, below=root)
        return path

    def _existing(self, bucket: str, key: str, version_id: str) -> Path:
        path = self._place(bucket, key)
        where = {"bucket": bucket, "key": key, "path": str(path)}
        if version_id:
            raise ObjectNotFound("a local bucket keeps no versions", **where, version_id=version_id)
        with explained(bucket, key, path):
            try:
                mode = path.stat().st_mode
            except NotADirectoryError as error:
                raise ObjectNotFound("no such object", **where) from error
        if stat.S_ISDIR(mode):
            raise ObjectNotFound("no such object", **where)
        if not stat.S_ISREG(mode):
            raise InvalidKey("the key leads to a special file", hint="Replace it by a regular file.", **where)
        return path

    def _private(self, bucket: str, folder: str) -> Path:
        path = self._bucket(bucket) / PRIVATE / folder
        with explained(bucket, path=path):
            refuse_links(path, below=self.root)
            self._folders.make(path, below=self._bucket(bucket))
            for one in (path.parent, path):  # who may write there could put other files in the place of Lakehead's
                take_write_access(one)
        return path

    @contextlib.contextmanager
    def _temporary(self, bucket: str) -> Iterator[Path]:
        path = self._private(bucket, "tmp") / uuid.uuid4().hex
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _file_lock(self, bucket: str, name: str, seconds: float) -> Iterator[None]:
        from filelock import FileLock, Timeout

        path = self._private(bucket, "locks") / name
        lock = FileLock(path, timeout=seconds, mode=FILE_MODE, poll_interval=0.005)
        with explained(bucket, path=path):
            try:
                lock.acquire()
            except Timeout as error:
                hint = "Another process works on the same object; wait for it, or end it."
                raise Busy(f"waited {self._lock_seconds:g} s for a lock", hint=hint, path=str(path)) from error
        try:
            yield
        finally:
            lock.release()

    def _key_lock(self, bucket: str, key: str) -> contextlib.AbstractContextManager[None]:
        return self.lock(bucket, f"key-{key}")

    def _demand(self, bucket: str, key: str, path: Path, if_match: str) -> None:
        if not if_match:
            return
        try:
            found = self._etags.of(path)[0]
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            found = "no object"
        if found != if_match:
            raise PreconditionFailed("the object is another", bucket=bucket, key=key, expected=if_match, received=found)

    def _rename(self, ready: Path, path: Path, bucket: str, *, exclusive: bool = False) -> None:
        """Give a finished file its name, which lasts after `_make_last`."""
        root = self._bucket(bucket)
        for tries_left in reversed(range(_TRIES)):
            try:
                self._folders.make(path.parent, below=root)
                _take_name(ready, path, exclusive=exclusive)
            except FileNotFoundError:  # a delete in another process removed the directory as empty
                if not tries_left or not ready.exists():
                    raise
            else:
                break

    def _make_last(self, bucket: str, paths: Iterable[Path]) -> None:
        self._folders.make_last(paths, below=self._bucket(bucket))


def _each(numbers: Iterable[int], step: Callable[[int], None]) -> dict[int, LakeheadError]:
    """Take a step for each; what it raises is told of that one."""
    faults: dict[int, LakeheadError] = {}
    for number in numbers:
        try:
            step(number)
        except LakeheadError as error:
            faults[number] = error
    return faults


def _take_name(ready: Path, path: Path, *, exclusive: bool) -> None:
    if not exclusive:
        ready.rename(path)
        return
    try:
        path.hardlink_to(ready)  # fails where a name is, as rename does not
    except FileExistsError as error:
        if path.is_dir():
            raise
        raise PreconditionFailed("there is an object already", path=str(path)) from error
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
            raise
        if path.exists():  # no hard links here: the key's lock keeps other Lakehead processes out
            raise PreconditionFailed("there is an object already", path=str(path)) from error
        ready.rename(path)
    else:
        ready.unlink()


def _lock_file(name: str) -> str:
    kind, _, rest = name.partition("-")
    number = int.from_bytes(hashlib.sha256(rest.encode()).digest()[:4]) % LOCK_FILES
    return f"{kind}-{number:02x}"


def _write(path: Path, data: bytes) -> None:
    with create(path) as stream:
        stream.write(data)


def _copy(source: Path, target: Path) -> str:
    with source.open("rb") as reading, create(target) as writing:
        return sha256_file(reading, writing)


def _same_device(source: Path, folder: Path) -> bool:
    return source.stat().st_dev == folder.stat().st_dev


def _info(bucket: str, key: str, status: os.stat_result, etag: str = "") -> ObjectInfo:
    return ObjectInfo(
        bucket,
        key,
        size=status.st_size,
        last_modified=datetime.fromtimestamp(status.st_mtime, UTC),
        fingerprint=f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}",
        landing=f"{status.st_ino}-{status.st_mtime_ns}",
        etag=etag,
        sequencer=f"{status.st_ctime_ns:016x}",
    )
