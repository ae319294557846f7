"""Where a lake lies while it meets faults: a folder, or a file system of its own whose power can be cut."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Protocol

from chaos.machine import Fault

IMAGE_MB = 48
OPTIONS = ("data=ordered", "data=writeback,noauto_da_alloc")
"""How ext4 is mounted: as usual, and so that it loses all that POSIX lets it lose."""

FREEZE_SECONDS = 5.0


class Ground(Protocol):
    """Makes the same lake again and again, always at `root`."""

    root: Path

    def fresh(self) -> None:
        """The lake as it was built."""

    def armed(self, fault: Fault) -> Fault:
        """The fault, with what it has to know of the ground."""

    def after(self, fault: Fault) -> None:
        """The lake as the fault left it."""


class FolderGround:
    """A folder; what is not written to the disk stays in the kernel's memory, as after a kill."""

    def __init__(self, folder: Path, build: Callable[[Path], object]) -> None:
        self.root, self._template = folder / "lake", folder / "template"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        build(self.root)
        self.root.rename(self._template)

    def fresh(self) -> None:
        """A copy of the lake that was built."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self._template, self.root)

    def armed(self, fault: Fault) -> Fault:
        """The fault as it is."""
        return fault

    def after(self, fault: Fault) -> None:
        """Nothing changes."""


class DiskGround:
    """An ext4 in an image file. A power cut leaves what was on the disk; the kernel's memory is lost."""

    def __init__(self, folder: Path, build: Callable[[Path], object], *, options: str = OPTIONS[0]) -> None:
        self._mounted = folder / "mounted"
        self.root = self._mounted / "lake"
        self._template, self._image, self._cut = (folder / f"{name}.img" for name in ("template", "disk", "cut"))
        self._options = options
        self._mounted.mkdir(parents=True)
        with self._template.open("wb") as image:
            image.truncate(IMAGE_MB << 20)
        _run("mkfs.ext4", "-q", "-F", "-b", "4096", "-J", "size=4", str(self._template))
        self._mount(self._template)
        build(self.root)
        self.close()

    def fresh(self) -> None:
        """A copy of the image that was built, mounted."""
        self.close()
        _copy(self._template, self._image)
        self._mount(self._image)

    def armed(self, fault: Fault) -> Fault:
        """A power cut has to know the image, and where to put what is on it."""
        return replace(fault, image=str(self._image), copy=str(self._cut)) if fault.kind == "power" else fault

    def after(self, fault: Fault) -> None:
        """The power comes back: what was on the disk is mounted, and its journal replayed."""
        if fault.kind == "power" and self._cut.exists():
            self.close()
            self._cut.rename(self._image)
            self._mount(self._image)

    def close(self) -> None:
        """Unmount."""
        if os.path.ismount(self._mounted):
            _run("umount", str(self._mounted))

    def _mount(self, image: Path) -> None:
        _run("mount", "-o", f"loop,{self._options}", str(image), str(self._mounted))


def cut_power(pid: int, image: Path, copy: Path) -> None:
    """Copy an image as it is on the disk. The process is stopped, so only writes on their way still arrive."""
    os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + FREEZE_SECONDS
    before, now = b"", image.read_bytes()
    while before != now:
        if time.monotonic() > end:
            raise RuntimeError("the image does not come to rest")
        before, now = now, image.read_bytes()
    copy.write_bytes(now)


@contextlib.contextmanager
def disk_ground(folder: Path, build: Callable[[Path], object], options: str) -> Iterator[DiskGround]:
    """A disk, unmounted at the end."""
    ground = DiskGround(folder, build, options=options)
    try:
        yield ground
    finally:
        ground.close()


@cache
def no_disk() -> str:
    """Why no file system can be mounted here; empty where one can."""
    if os.geteuid() != 0:
        return "mounting a file system needs root"
    missing = [name for name in ("mkfs.ext4", "mount", "umount") if shutil.which(name) is None]
    if missing:
        return f"{missing[0]} is not on the PATH"
    tried = subprocess.run(["losetup", "--find"], capture_output=True, text=True, check=False)
    return f"no loop device: {tried.stderr.strip()}" if tried.returncode else ""


def _copy(source: Path, target: Path) -> None:
    _run("cp", "--sparse=always", str(source), str(target))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
