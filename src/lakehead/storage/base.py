"""The object store protocol: buckets of objects under keys, with conditional puts. S3's semantics, in small."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from lakehead.errors import LakeheadError


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store knows of an object without reading it.

    `etag` identifies the bytes; a listing and a put of a file may leave it empty where they would have to read them
    (head() fills it). `fingerprint` changes whenever the object may have changed and costs nothing to read.
    `landing` changes whenever the object was put or written anew, the same bytes perhaps, and not when only its owner
    or mode did. `sequencer` orders the versions of one key (hexadecimal).
    """

    bucket: str
    key: str
    size: int
    last_modified: datetime
    fingerprint: str
    landing: str
    etag: str = ""
    sequencer: str = ""
    version_id: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """A local file that becomes an object."""

    source: Path
    key: str


@dataclass(frozen=True, slots=True)
class Put:
    """Bytes that become an object: over the one with etag `if_match`, or, where that is empty, where none is."""

    key: str
    data: bytes
    if_match: str = ""


class ObjectStore(Protocol):
    """Buckets of objects. Every method may raise StorageUnavailable, BucketNotFound, InvalidKey and ConfigError."""

    excludes: bool
    """Whether lock() keeps other processes out. Where it does not, only conditional puts decide between them."""

    etag_is_sha256: bool
    """Whether an etag is the SHA-256 of the object's bytes."""

    def head(self, bucket: str, key: str, *, version_id: str = "") -> ObjectInfo:
        """The object's information, etag included. Raises ObjectNotFound."""

    def list(self, bucket: str, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """The bucket's objects whose key begins with `prefix`, in the order of their keys' UTF-8 bytes.

        Unfinished puts are never listed. The etag may be empty.
        """

    def get(self, bucket: str, key: str, *, version_id: str = "") -> bytes:
        """The whole object. For small ones: records, contracts. Raises ObjectNotFound."""

    def get_with_etag(self, bucket: str, key: str) -> tuple[bytes, str]:
        """The whole object and the etag to make a conditional put with. Raises ObjectNotFound."""

    def get_tail(self, bucket: str, key: str, length: int) -> bytes:
        """The object's last `length` bytes, or all of it where it is shorter. Raises ObjectNotFound."""

    def open(self, bucket: str, key: str, *, version_id: str = "", if_match: str = "") -> BinaryIO:
        """The object as a stream of bytes, closed by the caller.

        Raises ObjectNotFound, and PreconditionFailed where the object's etag is not `if_match`.
        """

    def local_path(self, bucket: str, key: str) -> Path | None:
        """Where the object lies on this machine if it exists; None for a remote store. Never to be written to."""

    def staging_dir(self, bucket: str, attempt: str) -> Path:
        """An empty local directory for an attempt's files, on the same device as the bucket where that is possible."""

    def strays(self, bucket: str) -> Sequence[tuple[Path, str]]:
        """Paths in a bucket that cannot be objects, each with the reason; empty for a store without paths."""

    def stale_staging(self, bucket: str, older_than: timedelta) -> Iterator[Path]:
        """What unfinished attempts and puts left on this machine and nobody has touched for `older_than`."""

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
        """Write an object atomically and durably.

        `if_none_match`: only where no object is; `if_match`: only over the object with this etag. Otherwise
        PreconditionFailed. Without `durable` a power loss (not a crash of this process) may lose the object or its
        bytes; for what can be done without.
        """

    def put_all(self, bucket: str, puts: Sequence[Put]) -> Sequence[LakeheadError | None]:
        """put() of many, in no order: each atomic, all of them durable when this returns.

        What a put would raise is returned in its place, and does not keep the others from being done. Raises what is
        the fault of all; then each may have been done or not, and need not be durable.
        """

    def make_durable(self, bucket: str, keys: Sequence[str]) -> None:
        """Make objects last that a put which failed or was cut short may have left without making them durable."""

    def put_file(self, bucket: str, key: str, source: Path, *, move: bool = False) -> ObjectInfo:
        """Write a file as an object, atomically and durably. With `move` the source is consumed (renamed if it can)."""

    def move_files(self, bucket: str, moves: Sequence[Move]) -> Sequence[LakeheadError | None]:
        """put_file(move=True) for many: each atomic, in no order, all of them durable when this returns.

        Faults are told as by `put_all`.
        """

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    def purge(self, bucket: str, key: str, *, keep_newest: bool = False, until: datetime | None = None) -> None:
        """Remove an object for good, with every version of it; one that is not there is no error.

        `keep_newest` leaves the current version; `until` leaves what was written later.
        """

    def create_bucket(self, bucket: str) -> None:
        """Make a bucket; one that is there is no error."""

    def lock(self, bucket: str, *names: str) -> AbstractContextManager[None]:
        """Keep out whoever else asks for one of these locks, if the store `excludes`. Waits a bounded time, then Busy.

        Who holds locks of one kind (`object-...`, `content-...`) must not ask for further ones of that kind.
        """

    def try_lock(self, bucket: str, *names: str) -> AbstractContextManager[frozenset[str]]:
        """The same without waiting: holds those of the locks that are free, and tells which."""

    def uri(self, bucket: str, key: str) -> str:
        """A name a person can use to find the object: a path or an s3:// address."""
