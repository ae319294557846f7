"""A bucket's directory, walked in the order of its keys with one directory in memory at a time."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from lakehead.storage.disk import explained
from lakehead.storage.keys import MAX_KEY_BYTES, PRIVATE, to_segment

_log = logging.getLogger(__name__)
_told: set[str] = set()

Strays: TypeAlias = list[tuple[Path, str]]


@dataclass(frozen=True, slots=True)
class _Entry:
    text: str  # how the keys below begin: the key of a file, the key and a slash of a directory
    path: str
    is_directory: bool


def walk(
    root: Path, bucket: str, prefix: str, start_after: str, *, strays: Strays | None = None
) -> Iterator[tuple[str, os.stat_result]]:
    """Keys and stats of the regular files below `root`. What no key leads to is told in `strays`, or logged once.

    A directory counts by its keys' beginning, with the slash, so sorting every directory sorts the whole.
    """
    pending = [iter(_entries(str(root), bucket, "", strays))]
    while pending:
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
        elif entry.is_directory:
            if _may_hold(entry.text, prefix, start_after):
                pending.append(iter(_entries(entry.path, bucket, entry.text, strays)))
        elif entry.text.startswith(prefix) and entry.text > start_after:
            try:
                yield entry.text, os.lstat(entry.path)
            except FileNotFoundError:  # deleted since the directory was read
                continue


def _may_hold(folder: str, prefix: str, start_after: str) -> bool:
    if not (folder.startswith(prefix) or prefix.startswith(folder)):
        return False
    return folder > start_after or start_after.startswith(folder)


def _entries(path: str, bucket: str, above: str, strays: Strays | None) -> list[_Entry]:
    found: list[_Entry] = []
    with explained(bucket, path=Path(path)):
        try:
            scan = os.scandir(path)
        except (FileNotFoundError, NotADirectoryError):
            if above:
                return []
            raise
        with scan:
            for item in scan:
                if above or item.name != PRIVATE:
                    _sort_out(item, above, found, strays)
    return sorted(found, key=lambda entry: entry.text)


def _sort_out(item: os.DirEntry[str], above: str, found: list[_Entry], strays: Strays | None) -> None:
    segment = to_segment(item.name, top=not above)
    is_directory = item.is_dir(follow_symlinks=False)
    if segment is None:
        return _tell(
            item.path, "no key has this name: it is no Unicode text, has a backslash, or begins with .%", strays
        )
    if item.is_symlink():
        return _tell(item.path, "a symbolic link is not followed", strays)
    if not is_directory and not item.is_file(follow_symlinks=False):
        return _tell(item.path, "not a regular file", strays)
    text = above + segment + ("/" if is_directory else "")
    if len(text.encode()) > MAX_KEY_BYTES or text == "":
        return _tell(item.path, f"its key would be longer than {MAX_KEY_BYTES} bytes", strays)
    found.append(_Entry(text, item.path, is_directory))
    return None


def _tell(path: str, reason: str, strays: Strays | None) -> None:
    printable = os.fsencode(path).decode(errors="backslashreplace")
    if strays is not None:
        strays.append((Path(path), reason))
    elif printable not in _told:
        _told.add(printable)
        _log.warning("left out of the lake: %s: %s", printable, reason)
