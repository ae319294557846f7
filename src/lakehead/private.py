"""Files and folders that only their owner can read, whatever the umask: state, logs, tokens, what is staged.

What the operating system refuses is told as ConfigError where somebody has to change something, and otherwise as
StorageUnavailable, for a disk that is full now may have room later.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehead.errors import ConfigError, StorageUnavailable

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_OTHERS = 0o077
_IN_THE_WAY = (errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG)
_FORBIDDEN = (errno.EACCES, errno.EPERM)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner alone. One that is there stays as it is."""
    with _explained(path):
        _make(path)


def own_folder(path: Path, *, links: bool = False) -> None:
    """`make_folder`, for one that must be this user's own: one that is open to others is closed.

    With `links` it may be a symbolic link, for state may lie on another disk; link and target must be this user's own.
    Raises ConfigError for what belongs to somebody else, who could look into it and put other files in its place.
    """
    with _explained(path):
        _make(path)
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            if not links:
                hint = "Remove the link: a folder is made in its place."
                raise ConfigError("a folder for private files is a symbolic link", hint=hint, path=str(path))
            _demand_ours(path, status, "link to a folder")
            status = _target(path)
        if not stat.S_ISDIR(status.st_mode):
            raise ConfigError("a file is where a folder has to be", hint="Move it away.", path=str(path))
        _demand_ours(path, status, "folder")
        _close(path, status, FOLDER_MODE)


def own_state(path: Path) -> None:
    """`own_folder` for the state of an environment, `.lakehead/<env>`, and for the folder that all of them share."""
    for folder in (path.parent, path):
        own_folder(folder, links=True)


def own_file(path: Path) -> None:
    """Make an empty file for its owner alone where there is none; close one that is open to others."""
    with _explained(path):
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
        except FileExistsError:
            _close(path, path.stat(), FILE_MODE)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn the operating system's errors into Lakehead's."""
    try:
        yield
    except OSError as error:
        message, where = f"it cannot be used: {error.strerror}", str(error.filename or path)
        if error.errno in _FORBIDDEN:
            hint = "Give this user access to it, and to the folders above it."
            raise ConfigError(message, hint=hint, path=where) from error
        if error.errno in _IN_THE_WAY:
            raise ConfigError(message, hint="Move away what is in its place.", path=where) from error
        hint = "Is the disk full, or read-only?"
        raise StorageUnavailable(message, hint=hint, path=where) from error


def _make(path: Path) -> None:
    """Each level by itself: `mkdir(parents=True)` gives the mode only to the last one."""
    if not path.is_dir() and not path.is_symlink():
        _make(path.parent)
        try:
            path.mkdir(mode=FOLDER_MODE)
        except FileExistsError:
            if not path.is_dir():
                raise


def _target(link: Path) -> os.stat_result:
    try:
        return link.stat()
    except FileNotFoundError as error:
        hint = "Is the disk that it leads to mounted? Else remove the link."
        raise ConfigError("a link to a folder leads nowhere", hint=hint, path=str(link)) from error


def _demand_ours(path: Path, status: os.stat_result, what: str) -> None:
    if status.st_uid in (os.geteuid(), _owner_above(path)):
        return
    # Not to be removed: it may be the journal of a lake that somebody else runs.
    hint = "Run Lakehead as its owner, have it handed over to this user (chown), or use another folder."
    where = path if stat.S_ISLNK(status.st_mode) else path.resolve()
    raise ConfigError(f"a {what} for private files belongs to another user", hint=hint, path=str(where))


def _owner_above(path: Path) -> int:
    """Root may run a lake of somebody else; then its folders are that user's, as the lake is."""
    return path.parent.stat().st_uid if os.geteuid() == 0 else os.geteuid()


def _close(path: Path, status: os.stat_result, mode: int) -> None:
    if stat.S_IMODE(status.st_mode) & _OTHERS and status.st_uid == os.geteuid():
        path.chmod(mode)
