"""The system calls that touch files (x86-64 Linux), and where their arguments say which file."""

from __future__ import annotations

from dataclasses import dataclass

AT_FDCWD = -100
O_WRONLY, O_RDWR, O_CREAT, O_TRUNC = 0o1, 0o2, 0o100, 0o1000
WRITING = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC


@dataclass(frozen=True, slots=True)
class Shape:
    """Which arguments tell the file: a descriptor, a path, or a path below a directory's descriptor."""

    number: int
    name: str
    descriptor: int | None
    path: int | None = None
    flags: int | None = None


SHAPES = (
    Shape(0, "read", 0),
    Shape(1, "write", 0),
    Shape(2, "open", None, 0, 1),
    Shape(17, "pread64", 0),
    Shape(18, "pwrite64", 0),
    Shape(19, "readv", 0),
    Shape(20, "writev", 0),
    Shape(26, "msync", None),
    Shape(40, "sendfile", 0),
    Shape(74, "fsync", 0),
    Shape(75, "fdatasync", 0),
    Shape(76, "truncate", None, 0),
    Shape(77, "ftruncate", 0),
    Shape(82, "rename", None, 1),
    Shape(83, "mkdir", None, 0),
    Shape(84, "rmdir", None, 0),
    Shape(85, "creat", None, 0),
    Shape(86, "link", None, 1),
    Shape(87, "unlink", None, 0),
    Shape(88, "symlink", None, 1),
    Shape(90, "chmod", None, 0),
    Shape(91, "fchmod", 0),
    Shape(217, "getdents64", 0),
    Shape(257, "openat", 0, 1, 2),
    Shape(258, "mkdirat", 0, 1),
    Shape(263, "unlinkat", 0, 1),
    Shape(264, "renameat", 2, 3),
    Shape(265, "linkat", 2, 3),
    Shape(266, "symlinkat", 1, 2),
    Shape(268, "fchmodat", 0, 1),
    Shape(277, "sync_file_range", 0),
    Shape(280, "utimensat", 0, 1),
    Shape(285, "fallocate", 0),
    Shape(296, "pwritev", 0),
    Shape(316, "renameat2", 2, 3),
    Shape(326, "copy_file_range", 2),
    Shape(328, "pwritev2", 0),
)
BY_NUMBER = {shape.number: shape for shape in SHAPES}

OPENS = ("open", "openat", "creat")
READS = ("read", "pread64", "readv", "getdents64")
GROWS = (
    "write", "writev", "pwrite64", "pwritev", "pwritev2", "sendfile", "copy_file_range", "fallocate", "mkdir",
    "mkdirat", "link", "linkat", "rename", "renameat", "renameat2", "symlink", "symlinkat", "fsync", "fdatasync",
)  # fmt: skip
NAMES = (
    "truncate", "mkdir", "mkdirat", "rmdir", "link", "linkat", "unlink", "unlinkat", "symlink", "symlinkat", "rename",
    "renameat", "renameat2", "chmod", "fchmod", "fchmodat", "utimensat",
)  # fmt: skip

CHANGES = frozenset({shape.name for shape in SHAPES} - set(READS))
"""What changes a file or a folder. An open counts where it is for writing."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error, and the calls that give it. `reading`: opens that only read give it too."""

    errno: int
    calls: frozenset[str]
    reading: bool = False


TROUBLES = {
    "EIO": Trouble(5, frozenset(shape.name for shape in SHAPES), reading=True),
    "ENOSPC": Trouble(28, frozenset((*GROWS, *OPENS))),
    "EMFILE": Trouble(24, frozenset(OPENS), reading=True),
    "EROFS": Trouble(30, frozenset((*NAMES, *OPENS))),
}
