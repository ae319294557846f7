"""What disks raise, in words, for every engine."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from lakehead.errors import StorageUnavailable
from lakehead.etl.place import Place

FULL = "No space left on device"


@contextmanager
def disk_explained(place: Place) -> Iterator[None]:
    """Turn an OSError into StorageUnavailable."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(place) from error
        raise StorageUnavailable(
            f"reading or writing failed: {error}", hint="Check the disk, then try again.", **place.where
        ) from error


def disk_full(place: Place) -> StorageUnavailable:
    """The error for a full disk."""
    return StorageUnavailable(
        "the disk is full", hint="Free some space; the load is tried again and loses nothing.", **place.where
    )


def first_line(text: str) -> str:
    """The first line of a message."""
    return text.partition("\n")[0]
