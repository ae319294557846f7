"""Which accepted row goes into which file, decided from counts before a row is moved.

Every partition is one file, unless its text is too much for one (`folders.rows_per_file`). Then it is cut by lines, at
the ends of equal stretches of the source, so that its files hold about as many rows as they may and none more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, TypeAlias

from lakehead.etl.folders import Partitions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_STRETCHES = 64
"""A stretch of lines is this part of what one file may hold: the most by which a file falls short of that."""

Values: TypeAlias = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """File `number` of a partition: `rows` of its rows, none from before line `start`."""

    values: Values
    number: int
    start: int
    rows: int


def plan_files(good: DataFrame, keys: Sequence[str], partitions: Partitions, per_file: int) -> list[PlannedFile]:
    """The files of the accepted rows `good`, in the order of `partitions` and of lines."""
    large = [values for values, count in partitions if count > per_file]
    stretches = _stretches(good, keys, large, max(1, per_file // _STRETCHES)) if large else {}
    files: list[PlannedFile] = []
    for values, count in partitions:
        files += _cut(values, stretches.get(values, [(0, count)]), per_file)
    return files


def with_file(good: DataFrame, session: SparkSession, keys: Sequence[str], files: Sequence[PlannedFile]) -> DataFrame:
    """The rows with `_file`, the index in `files` of the file that each belongs to."""
    from pyspark.sql import functions as f

    if len(files) == 1:
        return good.withColumn("_file", f.lit(0))
    starts: dict[Values, tuple[int, list[int]]] = {}
    for index, file in enumerate(files):
        starts.setdefault(file.values, (index, []))[1].append(file.start)
    names = [f"_k{number}" for number in range(len(keys))]
    schema = ", ".join([*(f"{name} string" for name in names), "_first int", "_starts array<bigint>"])
    table = session.createDataFrame([(*values, *found) for values, found in starts.items()], schema)
    same = (f.col(key).cast("string").eqNullSafe(f.col(name)) for key, name in zip(keys, names, strict=True))
    found = good.join(f.broadcast(table), reduce(and_, same, f.lit(True)))
    later = f.filter("_starts", lambda start: start <= f.col("_line"))
    number = f.when(f.size("_starts") == 1, 0).otherwise(f.size(later) - 1)
    return found.withColumn("_file", f.col("_first") + number).drop("_first", "_starts", *names)


def _stretches(
    good: DataFrame, keys: Sequence[str], large: Iterable[Values], length: int
) -> dict[Values, list[tuple[int, int]]]:
    """For each of the partitions, how many of its rows begin in each stretch of so many lines, as (line, rows)."""
    from pyspark.sql import functions as f

    wanted = set(large)
    stretch = f.floor(f.col("_line") / length).alias("_stretch")
    counted = good.groupBy(*(f.col(key).cast("string").alias(f"_k{n}") for n, key in enumerate(keys)), stretch).count()
    found: dict[Values, list[tuple[int, int]]] = {values: [] for values in wanted}
    for *key, number, count in counted.orderBy("_stretch").toLocalIterator():
        if tuple(key) in wanted:
            found[tuple(key)].append((number * length, count))
    return found


def _cut(values: Values, stretches: Sequence[tuple[int, int]], per_file: int) -> Iterable[PlannedFile]:
    """Files of as many whole stretches as they may hold."""
    number, start, rows = 0, 0, 0
    for line, count in stretches:
        if rows and rows + count > per_file:
            yield PlannedFile(values, number, start, rows)
            number, start, rows = number + 1, line, 0
        rows += count
    yield PlannedFile(values, number, start, rows)
