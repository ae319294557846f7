"""What a key may be, and how a key lies on a local disk.

A segment of a key (what stands between slashes) is the name of a file or a directory, as it is: a file that a person
copies into a bucket's directory has the key that its path shows. Only what a directory cannot hold, or what the store
keeps for itself, is written with the mark `.%` in front: an empty segment (`a//b`, `a/`), one that begins with the
mark, and `.lakehead` at a bucket's top.

On a file system that folds case or normalises Unicode (macOS, Windows) two keys may meet in one file. The store does
not defend against that; use a file system that tells them apart.
"""

from __future__ import annotations

import re
from pathlib import Path

from lakehead.errors import InvalidKey, UsageError

MARK = ".%"
PRIVATE = ".lakehead"
"""The store's own directory at a bucket's top: temporary files, staging, locks. No listing shows it."""

MAX_KEY_BYTES = 1024  # S3 User Guide, "Creating object key names"
MAX_SEGMENT_BYTES = 255  # NAME_MAX of Linux and macOS file systems

_BUCKET = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}")
_ATTEMPT = re.compile(r"[0-9A-Za-z_-]{1,200}")


def check_key(bucket: str, key: str) -> str:
    """The key, if a store may hold it. Raises InvalidKey that says what is wrong with it."""
    fault = _fault(key)
    if fault:
        raise InvalidKey(f"the key {fault}", hint="Choose another key.", bucket=bucket, key=key)
    return key


def check_bucket(bucket: str) -> str:
    """The bucket's name, if a store may have it. Raises InvalidKey."""
    if not _BUCKET.fullmatch(bucket):
        raise InvalidKey(
            "not a bucket's name",
            hint="Use 1 to 63 letters, digits, dots, hyphens and underscores; begin with a letter or a digit.",
            bucket=bucket,
        )
    return bucket


def check_attempt(attempt: str) -> str:
    """The attempt's name, if a directory may have it. Raises UsageError."""
    if not _ATTEMPT.fullmatch(attempt):
        raise UsageError("an attempt's name has only letters, digits, hyphens and underscores", received=attempt)
    return attempt


def to_path(bucket: Path, key: str) -> Path:
    """Where a valid key lies in its bucket's directory."""
    first, *rest = key.split("/")
    return bucket.joinpath(to_name(first, top=True), *(to_name(segment) for segment in rest))


def to_segment(name: str, *, top: bool = False) -> str | None:
    """The segment that a file or directory name stands for; None where no key leads to that name."""
    segment = name.removeprefix(MARK) if name.startswith(MARK) else name
    if segment and _fault(segment):
        return None
    return segment if to_name(segment, top=top) == name else None


def to_name(segment: str, *, top: bool = False) -> str:
    """The file or directory name of a segment."""
    needs_mark = not segment or segment.startswith(MARK) or (top and segment == PRIVATE)
    return MARK + segment if needs_mark else segment


def _fault(key: str) -> str:
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        return "is not Unicode text"
    if not key:
        return "is empty"
    if len(encoded) > MAX_KEY_BYTES:
        return f"is longer than {MAX_KEY_BYTES} bytes"
    if key.startswith("/"):
        return "begins with a slash"
    if "\0" in key or "\\" in key:
        return "has a NUL or a backslash"
    segments = key.split("/")
    if "." in segments or ".." in segments:
        return "has a segment . or .."
    if any(len(to_name(segment).encode()) > MAX_SEGMENT_BYTES for segment in segments):
        return f"has a segment longer than {MAX_SEGMENT_BYTES} bytes"
    return ""
