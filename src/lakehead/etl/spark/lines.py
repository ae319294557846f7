"""Numbered rows of text, made from lines. Spark's CSV parser has no part in it.

Two kinds of file come here, and in both each line is one record. A plain file (`Scan.plain`) is read as it landed: a
field is what is between delimiters. The careful reader's clean copy begins each record with its line number, and
records that needed parsing are JSON arrays there, so that a line break within a field is no line break in the copy.
Either way a file can be read in pieces by many tasks at once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row, SparkSession

_TASK_BITS = 33
"""`monotonically_increasing_id` is the number of the task, times two to this power, plus the row's number in it."""


def as_json(line: int, fields: tuple[str, ...]) -> str:
    """A parsed record in the clean copy (`records.Encode`). No plain record begins with a bracket."""
    return json.dumps([str(line), *fields], ensure_ascii=False) + "\n"


def clean_rows(session: SparkSession, uri: str, names: Sequence[str], delimiter: str) -> DataFrame:
    """`_line` and the named columns of a clean copy."""
    from pyspark.sql import functions as f

    value = f.col("value")
    parsed = f.from_json(value, "array<string>")
    fields = f.when(value.startswith("["), parsed).otherwise(_cut(value, delimiter))
    cut = session.read.text(uri, lineSep="\n").select(fields.alias("_fields"))
    return _named(cut, f.col("_fields")[0].cast("bigint"), names, first=1)


def plain_rows(
    session: SparkSession, uri: str, names: Sequence[str], delimiter: str, *, lines: int, first: int
) -> DataFrame | None:
    """`_line` and the named columns of a plain file of so many `lines`, from line `first` on.

    None where Spark does not see the lines that the scan saw, each with as many fields as there are names.
    """
    from pyspark.sql import functions as f

    value, number = f.col("value"), f.col("_number")
    text = session.read.text(uri).select(
        value, f.monotonically_increasing_id().alias("_number"), f.input_file_block_start().alias("_block")
    )
    delimiters = f.length(value) - f.length(f.replace(value, f.lit(delimiter), f.lit("")))
    tasks = (
        text.groupBy(f.shiftright(number, _TASK_BITS).alias("task"))
        .agg(
            f.count("*").alias("lines"),
            f.count_if(delimiters != len(names) - 1).alias("ragged"),
            f.min("_block").alias("first_block"),
            f.max("_block").alias("last_block"),
        )
        .orderBy("task")
        .collect()
    )
    starts = _first_lines(tasks, lines)
    if starts is None:
        return None
    start = f.array(*map(f.lit, starts))[f.shiftright(number, _TASK_BITS).cast("int")]
    line = (start + number.bitwiseAND((1 << _TASK_BITS) - 1)).alias("_line")
    cut = text.select(line, _cut(value, delimiter).alias("_fields")).where(f.col("_line") >= first)
    return _named(cut, f.col("_line"), names, first=0)


def _first_lines(tasks: Sequence[Row], lines: int) -> list[int] | None:
    """The line on which each task's piece of the file begins, by the number of the task.

    None where pieces are not in the order of the file, or lines are missing or of another width.
    """
    pieces = [(task.first_block, task.last_block) for task in tasks]
    in_order = all(one[1] < other[0] for one, other in pairwise(pieces)) and all(one == other for one, other in pieces)
    if not in_order or sum(task.lines for task in tasks) != lines or any(task.ragged for task in tasks):
        return None
    starts = [0] * (tasks[-1].task + 1)
    line = 1
    for task in tasks:
        starts[task.task] = line
        line += task.lines
    return starts


def _cut(value: Column, delimiter: str) -> Column:
    from pyspark.sql import functions as f

    # Java cuts by one escaped character without a regular expression; letters and digits must not be escaped.
    return f.split(value, delimiter if delimiter.isalnum() else "\\" + delimiter, -1)


def _named(cut: DataFrame, line: Column, names: Sequence[str], *, first: int) -> DataFrame:
    from pyspark.sql import functions as f

    fields = [f.col("_fields")[index].alias(name) for index, name in enumerate(names, first)]
    return cut.select(line.alias("_line"), *fields)
