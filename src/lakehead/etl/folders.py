"""How accepted rows are laid out: the folder of each partition, and how many rows go into one file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from lakehead.errors import TooLarge
from lakehead.etl.place import Place

MAX_PARTITIONS = 10_000
"""How many partitions the rows of one file may fall into."""
TEXT_PER_FILE = 512 << 20
"""About how many bytes of CSV text go into one Parquet file: a quarter of it or less remains."""
LEAST_ROWS = 122_880
"""A partition of this many rows is one file, however long its texts are: they fill one row group."""
DEFAULT_PARTITION = "__HIVE_DEFAULT_PARTITION__"

Partitions: TypeAlias = Sequence[tuple[tuple[str | None, ...], int]]
"""The values of each partition as texts, with its number of rows; in the order of the values, nulls last."""

# Hive's escapePathName, which Spark shares: control characters and these.
_ESCAPED = frozenset("\"#%'*/:=?\\{[]^\x7f") | frozenset(map(chr, range(32)))
_LONGEST_NAME = 255


def hive_path(names: Sequence[str], values: Sequence[str | None]) -> str:
    """The folder of a partition, `order_date=2025-01-01/shop=a%2Fb`; `""` where there are no columns."""
    return "/".join(f"{escape(name)}={escape(value)}" for name, value in zip(names, values, strict=True))


def escape(value: str | None) -> str:
    """A value in a folder's name, as Hive and Spark write it; but NUL, which they keep and no file system takes."""
    if value is None or value == "":
        return DEFAULT_PARTITION
    return "".join(f"%{ord(letter):02X}" if letter in _ESCAPED else letter for letter in value)


def folder_of(keys: Sequence[str], values: Sequence[str | None], place: Place) -> str:
    """`hive_path`, where a file system takes the name. Raises TooLarge."""
    partition = hive_path(keys, values)
    if any(len(part.encode()) > _LONGEST_NAME for part in partition.split("/")):
        raise TooLarge(
            "a partition's value is too long for the name of a folder",
            hint="Limit the column's length in the contract (maxLength), or do not partition by it.",
            **place.where,
            received=partition[:100] + "...",
        )
    return partition


def refuse_too_many_partitions(count: int, keys: Sequence[str], place: Place) -> None:
    """Raise TooLarge where one file's rows would make a folder for almost every row."""
    if count > MAX_PARTITIONS:
        raise TooLarge(
            f"the rows fall into more than {MAX_PARTITIONS} partitions",
            hint="Partition by a column with fewer values, or split the file.",
            **place.where,
            column=", ".join(keys),
        )


def rows_per_file(rows: int, text_bytes: int) -> int:
    """The most rows of one Parquet file, where `rows` rows come from so many bytes of text."""
    return max(LEAST_ROWS, TEXT_PER_FILE * rows // max(text_bytes, 1))
