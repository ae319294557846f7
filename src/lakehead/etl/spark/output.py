"""Writing accepted rows and the quarantine as Parquet: Spark writes below the work folder, the files are taken out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lakehead.contract.model import Contract
from lakehead.etl.base import StagedFile
from lakehead.etl.folders import folder_of, rows_per_file
from lakehead.etl.quarantine import Dropped
from lakehead.etl.spark.footer import sort_encodings
from lakehead.etl.spark.ground import Ground
from lakehead.etl.spark.layout import PlannedFile, plan_files, with_file
from lakehead.etl.spark.runtime import SPLIT_BYTES
from lakehead.etl.tally import Tally

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_TASK_BYTES = 4 * SPLIT_BYTES
"""About how much text the rows that one task sorts and writes come from."""
_QUARANTINE = "line bigint, text string, reasons array<string>"


def write_data(
    session: SparkSession,
    good: DataFrame,
    contract: Contract,
    tally: Tally,
    text_bytes: int,
    ground: Ground,
    target: Path,
) -> tuple[StagedFile, ...]:
    """Write `<partition>/<n>.parquet` below `target`, rows in the order of their lines.

    `good` has `_line` and the output columns; `tally` the rows of each partition. Raises TooLarge and CountMismatch.
    """
    keys, place = contract.partitions, tally.place
    folders = {values: folder_of(keys, values, place) for values, _ in tally.partitions}
    files = plan_files(good, keys, tally.partitions, rows_per_file(tally.committed, text_bytes))
    stored = [column.name for column in contract.columns if column.name not in keys]
    tasks = max(1, min(len(files), text_bytes // _TASK_BYTES + 1))
    uri = ground.writable("data")
    (
        with_file(good, session, keys, files)
        .select("_file", "_line", *stored)
        .repartition(tasks, "_file")
        .sortWithinPartitions("_file", "_line")
        .drop("_line")
        .write.partitionBy("_file")
        .parquet(uri)
    )
    counts: dict[int, int] = dict(session.read.schema("_file int").parquet(uri).groupBy("_file").count().collect())
    return tuple(_taken(files, folders, counts, tally, ground, target))


def _taken(
    files: Sequence[PlannedFile],
    folders: dict[tuple[str | None, ...], str],
    counts: dict[int, int],
    tally: Tally,
    ground: Ground,
    target: Path,
) -> Iterable[StagedFile]:
    """Move what Spark wrote to where it belongs, each planned file once, with the rows that it was planned with."""
    written = ground.written("data")
    tally.demand("Spark wrote other files than were planned", len(files), len(written))
    found = {int(name.partition("/")[0].removeprefix("_file=")): name for name in written}
    paths = [target / folders[file.values] / f"{file.number}.parquet" for file in files]
    ground.take("data", [(found[index], path) for index, path in enumerate(paths)])
    for index, (file, path) in enumerate(zip(files, paths, strict=True)):
        tally.demand("other rows were written than were accepted", file.rows, counts.get(index, 0))
        yield _staged(path, folders[file.values], file.rows)


def _staged(path: Path, partition: str, rows: int) -> StagedFile:
    sort_encodings(path)
    return StagedFile(path, partition, rows, path.stat().st_size)


def write_quarantine(
    session: SparkSession, rows: Iterable[Dropped], tally: Tally, ground: Ground, work: Path, target: Path
) -> StagedFile:
    """Write `target`, the same columns as `quarantine.write_quarantine`, from rows in the order of lines."""
    from pyspark.sql import functions as f

    listed, count = work / "quarantine.jsonl", 0
    with listed.open("w", encoding="utf-8") as file:
        for line, reasons, text in rows:
            row = {"line": line, "text": text, "reasons": reasons.split("\n")}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    tally.demand("other rows were quarantined than were refused", tally.quarantined, count)
    origin, uri = tally.place.origin, ground.writable("quarantine")
    told = session.read.json(ground.readable(listed), schema=_QUARANTINE, lineSep="\n", mode="FAILFAST")
    told.coalesce(1).sortWithinPartitions("line").select(
        f.lit(origin.bucket).alias("source_bucket"),
        f.lit(origin.key).alias("source_key"),
        f.lit(origin.etag).alias("source_etag"),
        "line",
        "text",
        "reasons",
        f.lit(tally.place.dataset).alias("dataset"),
    ).write.parquet(uri)
    tally.demand(
        "other rows were quarantined than were refused", count, session.read.schema("line bigint").parquet(uri).count()
    )
    (written,) = ground.written("quarantine")
    ground.take("quarantine", [(written, target)])
    return _staged(target, "", count)
