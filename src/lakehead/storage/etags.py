"""SHA-256 of files, remembered as long as a file's stat shows that it is the same."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO

from lakehead.storage.disk import open_for_reading

CHUNK = 1 << 20
REMEMBERED = 10_000

# A write right after a hash can fall into the same tick of the file system's clock (1 to 10 ms) and leave stat as it
# was. A file that changed so shortly before it was read is read again next time.
TICK_NS = 50_000_000


def sha256_file(stream: BinaryIO, copy_to: BinaryIO | None = None) -> str:
    """SHA-256 of what is left of a stream, in hex, optionally copying it on the way."""
    digest = hashlib.sha256()
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
        if copy_to is not None:
            copy_to.write(chunk)
    return digest.hexdigest()


def signature(status: os.stat_result) -> tuple[int, int, int, int, int]:
    """What changes in a file's stat when its bytes do."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class EtagCache:
    """Etags by path. Safe between threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[Path, tuple[tuple[int, ...], str]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, path: Path) -> tuple[str, os.stat_result]:
        """A regular file's SHA-256 and the stat that belongs to it. Raises OSError."""
        status = os.lstat(path)
        with self._lock:
            found = self._known.get(path)
        if found is not None and found[0] == signature(status):
            return found[1], status
        return self._read(path)

    def _read(self, path: Path) -> tuple[str, os.stat_result]:
        while True:
            with open_for_reading(path) as stream:
                before, clock = os.fstat(stream.fileno()), time.time_ns()
                etag = sha256_file(stream)
                after = os.fstat(stream.fileno())
            if signature(before) == signature(after):
                break
        if clock - after.st_ctime_ns > TICK_NS:
            self._remember(path, signature(after), etag)
        return etag, after

    def _remember(self, path: Path, signed: tuple[int, ...], etag: str) -> None:
        with self._lock:
            self._known[path] = (signed, etag)
            self._known.move_to_end(path)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
