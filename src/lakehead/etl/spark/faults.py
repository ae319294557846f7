"""What Spark, its process and the file system raise, as errors that say what to do next."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lakehead.errors import Busy, LakeheadError, StorageUnavailable, TerminalError, TransientError
from lakehead.etl.faults import FULL, disk_explained, disk_full, first_line
from lakehead.etl.place import Place

_HEAP = re.compile(r"OutOfMemoryError|SparkOutOfMemoryError|Cannot grow BufferHolder")
_DEEP = re.compile(r"StackOverflowError")
_STOPPED = re.compile(r"stopped SparkContext|SparkContext (?:was|has been) (?:shut ?down|stopped)")
_DISK = re.compile(r"java\.(?:io\.(?:IOException|FileNotFoundException)|nio\.file\.FileSystemException)")
_CLASSIFIED = re.compile(r"\[[A-Z][A-Z0-9_.]*\]")
_TRACE = re.compile(r"^\tat |^Caused by: ", re.MULTILINE)
# A Java class comes first: a line of a query plan may also begin with a colon.
_CAUSE = re.compile(r"^(?:Caused by)?: ([\w$]+(?:[.][\w$]+)+(?:: .*)?)$", re.MULTILINE)


@contextmanager
def spark_explained(place: Place, heap: str, ran_out_of_memory: Callable[[], bool | None]) -> Iterator[None]:
    """Turn what Spark and the file system raise into LakeheadErrors without a stack trace.

    `heap` is the limit that Lakehead set, empty for a Spark that others started.
    `ran_out_of_memory` tells of a Spark whose process ended: whether for want of memory; None while it runs.
    """
    with disk_explained(place):
        try:
            yield
        except (LakeheadError, OSError, AssertionError) as error:
            if not _lost(error):
                raise
            raise _gone(place, heap, ran_out_of_memory()) from error
        except Exception as error:
            if not _of_spark(error):
                raise
            if _lost(error) or ran_out_of_memory() is not None:
                raise _gone(place, heap, ran_out_of_memory()) from error
            raise _failed(str(error), place, heap) from error


def _of_spark(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in ("pyspark", "py4j")


def _lost(error: BaseException) -> bool:
    return isinstance(error, ConnectionError) or type(error).__name__ == "Py4JNetworkError"


def _gone(place: Place, heap: str, memory: bool | None) -> LakeheadError:
    return _too_little(place, heap) if memory else _ended(place)


def _ended(place: Place) -> TransientError:
    return TransientError(
        "Spark ended in the middle of the load",
        hint="The load is tried again with a new one and loses nothing.",
        **place.where,
    )


def _failed(text: str, place: Place, heap: str) -> LakeheadError:
    """The error for a failure that Spark reported and lived on after."""
    if FULL in text:
        return disk_full(place)
    if _HEAP.search(text):
        return _too_little(place, heap)
    if _STOPPED.search(text):
        return _ended(place)
    if _DEEP.search(text):
        return TerminalError(
            "a pattern of the contract is too complex for one of the file's texts",
            hint='Simplify the pattern (`[ab]*` for `(?:a|b)*`), or load with engine = "duckdb".',
            **place.where,
        )
    if _DISK.search(text):
        return StorageUnavailable(
            f"reading or writing failed: {cause(text)}", hint="Check the disk, then try again.", **place.where
        )
    return TerminalError(
        f"Spark refused the contract's query: {cause(text)}",
        hint="This is a fault of Lakehead or of an expression in the contract; please report it.",
        **place.where,
    )


def _too_little(place: Place, heap: str) -> Busy:
    if not heap:
        return Busy(
            "the load needs more memory than its Spark has",
            hint="Submit it to a Spark with more memory; on Glue, use a larger worker_type.",
            **place.where,
        )
    return Busy(
        f"the load needs more memory than its limit of {heap}",
        hint="Raise the engine's memory_limit, or run fewer loads at once.",
        **place.where,
    )


def cause(text: str) -> str:
    """Spark's own words where it has a class for the error, else the innermost cause of a Java trace, else line one."""
    first = first_line(text)[:300]
    if _CLASSIFIED.match(text) or not _TRACE.search(text):
        return first
    causes = _CAUSE.findall(text)
    return causes[-1][:300] if causes else first
