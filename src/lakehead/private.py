"""Files and folders that only their owner can read, whatever the umask: state, logs, tokens, what waits in /tmp."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lakehead.errors import ConfigError

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_OTHERS = 0o077


def own_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner alone; close one that is open to others.

    Raises ConfigError for one that belongs to somebody else, who could look into it and put other files in its place.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists() and not folder.is_symlink()]
    for folder in reversed(missing):
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (os.geteuid(), _owner_above(path)):
        hint = "Remove it, or take it over: it must be a folder of the user who runs Lakehead."
        raise ConfigError("a folder for private files is not this user's own", hint=hint, path=str(path))
    _close(path, status, FOLDER_MODE)


def own_file(path: Path) -> None:
    """Make an empty file for its owner alone where there is none; close one that is open to others."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    except FileExistsError:
        _close(path, path.stat(), FILE_MODE)


def _owner_above(path: Path) -> int:
    """Root may run a lake of somebody else; then its folders are that user's, as the lake is."""
    return path.parent.stat().st_uid if os.geteuid() == 0 else os.geteuid()


def _close(path: Path, status: os.stat_result, mode: int) -> None:
    if stat.S_IMODE(status.st_mode) & _OTHERS and status.st_uid == os.geteuid():
        path.chmod(mode)
