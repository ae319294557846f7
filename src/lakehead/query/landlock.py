"""Landlock: the Linux kernel takes from this process, for good, what it does not need. No right can be won back.

The numbers are those of the kernel's `include/uapi/linux/landlock.h`. Each version of the interface (ABI) knows more
rights than the one before it; a right that a kernel does not know cannot be taken away there.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_GET_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_FILE = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_RENAME, _TRUNCATE = 1 << 13, 1 << 14
_READ = _READ_FILE | _READ_DIR
# No links, sockets, pipes or devices: whoever reads the folder afterwards finds plain files only.
_WRITE = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_FILE | _RENAME | _TRUNCATE
_OF_FILES = _READ_FILE | _WRITE_FILE | _TRUNCATE

_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many rights over files an ABI knows; from ABI 5 on there are 16."""
_NEWEST_FILE_RIGHTS = 16
_CONNECT_AND_BIND = 0b11  # TCP, from ABI 4 on
_SOCKETS_AND_SIGNALS = 0b11  # abstract Unix sockets and signals to processes outside, from ABI 6 on


def abi() -> int:
    """The version of Landlock that this kernel has; 0 where it has none or may not use it."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _GET_VERSION)))


def restrict(*, read: Iterable[Path], write: Iterable[Path], network: bool) -> None:
    """Leave to this thread, and to those it starts, only what is below these paths; paths that are not there are none.

    Nothing can be executed. Without `network` no TCP connection can be made or accepted, where the ABI knows that.
    Call it before other threads run: they would keep their rights. Raises OSError.
    """
    version = abi()
    known = (1 << _FILE_RIGHTS.get(version, _NEWEST_FILE_RIGHTS)) - 1
    attributes = struct.pack("=Q", known)
    if version >= 4:
        attributes += struct.pack("=Q", 0 if network else _CONNECT_AND_BIND)
    if version >= 6:
        attributes += struct.pack("=Q", _SOCKETS_AND_SIGNALS)
    ruleset = _checked(_libc().syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0))
    try:
        for rights, paths in ((_READ, read), (_WRITE, write)):
            for path in paths:
                _allow(ruleset, path, rights & known)
        _checked(_libc().prctl(_NO_NEW_PRIVILEGES, *map(ctypes.c_ulong, (1, 0, 0, 0))))
        _checked(_libc().syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        held = rights if path.is_dir() else rights & _OF_FILES
        rule = struct.pack("=Qi", held, place)
        _checked(_libc().syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0))
    finally:
        os.close(place)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
