"""Whether somebody still writes a file."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from pathlib import Path

KERNEL_KNOWS = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"}
)
"""File systems that only this machine's kernel writes. Others (NFS, FUSE, 9p, ...) may have writers elsewhere."""


def is_being_written(path: Path) -> bool | None:
    """Whether any process has the file open for writing. None where that cannot be told.

    Linux tells it by refusing a read lease (fcntl(2), F_SETLEASE): only the file's owner may ask, or root.
    """
    try:
        if sys.platform != "linux" or _type_of_device(path.lstat().st_dev, path) not in KERNEL_KNOWS:
            return None
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # Whoever opens the file for writing while the lease is held waits for us, and we get a signal: one that is
        # ignored by default, instead of SIGIO, which would end the process.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)


_types: dict[int, str] = {}


def _type_of_device(device: int, path: Path) -> str:
    if device not in _types:
        _types[device] = file_system(path)
    return _types[device]


def file_system(path: Path) -> str:
    """The type of the file system that holds a path (Linux); empty where it cannot be told."""
    target, best, kind = os.path.realpath(path), "", ""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    for line in lines:
        before, _, after = line.partition(" - ")
        mount = before.split(" ")[4].replace("\\040", " ")
        inside = target == mount or target.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, after.split(" ")[0]
    return kind
