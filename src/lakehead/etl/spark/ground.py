"""Where Spark and this process exchange files: the one place that knows what disk Spark's tasks see.

On one machine both see the same disk. Where a cluster shares none (AWS Glue), `lakehead.aws.ground` gives a prefix of a
bucket, to which the driver uploads what it has read, and below which Spark writes.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, TypeAlias

from lakehead.private import make_folder


class Ground(Protocol):
    """The exchange of one load. A folder is named by one plain word."""

    def readable(self, file: Path) -> str:
        """The URI by which Spark reads a file of this process. Its name and letters like `*` mean nothing there."""

    def writable(self, folder: str) -> str:
        """The URI of a folder that Spark may write."""

    def written(self, folder: str) -> list[str]:
        """The Parquet files that Spark left in such a folder, `_file=3/part-....parquet`, in order."""

    def take(self, folder: str, files: Sequence[tuple[str, Path]]) -> None:
        """Make each written file the staged file beside it, whose folder is there or made."""


OpenGround: TypeAlias = Callable[[Path, Path], AbstractContextManager[Ground]]
"""From a load's work folder and Spark's scratch folder to the load's ground."""


@contextmanager
def local_ground(work: Path, scratch: Path) -> Iterator[Ground]:
    """The ground of a Spark that sees this machine's disk, `work` on it."""
    link = scratch / f"load-{uuid.uuid4().hex}"
    link.symlink_to(work.resolve(), target_is_directory=True)
    try:
        yield _LocalGround(work, link)
    finally:
        link.unlink(missing_ok=True)


class _LocalGround:
    """Spark takes brackets and stars for patterns and hides names that begin with `_`; links give all plain names."""

    def __init__(self, work: Path, link: Path) -> None:
        self._work, self._link = work, link
        self._inputs = 0

    def readable(self, file: Path) -> str:
        self._inputs += 1
        name = f"input-{self._inputs}"
        (self._work / name).symlink_to(file.resolve())
        return f"file://{self._link}/{name}"

    def writable(self, folder: str) -> str:
        return f"file://{self._link}/{folder}"

    def written(self, folder: str) -> list[str]:
        root = self._work / folder
        return sorted(str(path.relative_to(root)) for path in root.rglob("*.parquet"))

    def take(self, folder: str, files: Sequence[tuple[str, Path]]) -> None:
        for written, target in files:
            make_folder(target.parent)
            shutil.move(self._work / folder / written, target)
