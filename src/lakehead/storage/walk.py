"""A bucket's directory, walked in the order of its keys with one directory in memory at a time."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from lakehead.storage.disk import explained
from lakehead.storage.keys import MAX_KEY_BYTES, PRIVATE, to_name, to_segment

_log = logging.getLogger(__name__)
_told: set[str] = set()

Strays: TypeAlias = list[tuple[Path, str]]


def walk(
    root: Path, bucket: str, prefix: str, start_after: str, *, strays: Strays | None = None
) -> Iterator[tuple[str, os.stat_result]]:
    """Keys and stats of the regular files below `root`. What no key leads to is told in `strays`, or logged once.

    A directory counts by its keys' beginning, with the slash, so sorting every directory sorts the whole. Of a
    directory only names are held, for it may have a million of them.
    """
    pending = [_Folder(str(root), "", iter(_names(str(root), bucket, "", prefix, strays)))]
    while pending:
        folder = pending[-1]
        name = next(folder.names, None)
        if name is None:
            pending.pop()
            continue
        key = folder.key + name
        path = f"{folder.path}/{to_name(name.removesuffix('/'), top=not folder.key)}"
        if name.endswith("/"):
            if _may_hold(key, prefix, start_after):
                pending.append(_Folder(path, key, iter(_names(path, bucket, key, prefix, strays))))
        elif key > start_after:
            try:
                yield key, os.lstat(path)
            except FileNotFoundError:  # deleted since the directory was read
                continue


@dataclass(frozen=True, slots=True)
class _Folder:
    """A directory that is walked: its path, how its keys begin, and what of it is left."""

    path: str
    key: str
    names: Iterator[str]


def _may_hold(folder: str, prefix: str, start_after: str) -> bool:
    if not (folder.startswith(prefix) or prefix.startswith(folder)):
        return False
    return folder > start_after or start_after.startswith(folder)


def _names(path: str, bucket: str, above: str, prefix: str, strays: Strays | None) -> list[str]:
    """The segments in a directory, in the order of keys; those of directories end with a slash."""
    found: list[str] = []
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
                    segment = _segment(item, above, strays)
                    if segment is not None and _begins(above, segment, prefix):
                        found.append(segment)
    found.sort()
    return found


def _begins(above: str, segment: str, prefix: str) -> bool:
    """Whether keys from here on may begin with the prefix."""
    if above.startswith(prefix):
        return True
    key = above + segment
    return key.startswith(prefix) or (segment.endswith("/") and prefix.startswith(key))


def _segment(item: os.DirEntry[str], above: str, strays: Strays | None) -> str | None:
    """What an entry is called in keys, with a slash behind a directory's; None where no key leads to it."""
    segment = to_segment(item.name, top=not above)
    is_directory = item.is_dir(follow_symlinks=False)
    if segment is None:
        reason = "no key has this name: it is no Unicode text, has a backslash, or begins with .%"
    elif item.is_symlink():
        reason = "a symbolic link is not followed"
    elif not is_directory and not item.is_file(follow_symlinks=False):
        reason = "not a regular file"
    elif len((above + segment).encode()) + is_directory > MAX_KEY_BYTES or not above + segment + "/" * is_directory:
        reason = f"its key would be longer than {MAX_KEY_BYTES} bytes"
    else:
        return segment + "/" * is_directory
    _tell(item.path, reason, strays)
    return None


def _tell(path: str, reason: str, strays: Strays | None) -> None:
    printable = os.fsencode(path).decode(errors="backslashreplace")
    if strays is not None:
        strays.append((Path(path), reason))
    elif printable not in _told:
        _told.add(printable)
        _log.warning("left out of the lake: %s: %s", printable, reason)
