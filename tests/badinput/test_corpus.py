"""The corpus of polluted files by the real job: loaded right, quarantined or refused, next to nothing in silence."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.folders import in_memory
from support.pollution import corpus
from support.verdicts import REFUSED, Bench, Judged, table

from lakehead.etl.duckdb_engine import DuckDBEngine
from lakehead.etl.spark.engine import SparkEngine

NEVER = {
    "clean", "delimiter", "quote", "escape", "line end", "extra delimiter", "missing delimiter", "extra quote",
    "missing quote", "short row", "long row", "repeated header", "footer", "blank row", "control character", "value",
    "gzip",
}  # fmt: skip
"""Classes of which no file may be loaded wrongly in silence."""
FILES, SILENT = 1_800, 8
"""As docs/security.md says: so many files at least, of which so many at most may be loaded wrongly in silence."""
WITHOUT_A_LINE = {"gzip", "foreign file"}
"""What is refused before there are lines."""


@pytest.fixture(scope="module")
def quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, quiet: None) -> list[Judged]:
    engine = DuckDBEngine(threads=1, memory_limit="256MB")
    with in_memory(tmp_path_factory.mktemp("corpus")) as folder:
        found = Bench(folder, engine).judge(corpus())
    engine.close()
    return found


def test_next_to_nothing_is_wrong_in_silence(judged: list[Judged], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{table(judged)}\n")
    assert len(judged) >= FILES
    silent = [one for one in judged if one.silent]
    assert len(silent) <= SILENT, "\n".join(f"{one.variant.name}: {one.detail}" for one in silent)
    assert {one.variant.pollution for one in silent} <= {one.variant.pollution for one in judged} - NEVER


def test_every_class_that_must_be_noticed_is_in_the_corpus(judged: list[Judged]) -> None:
    assert {one.variant.pollution for one in judged} >= NEVER
    names = [(one.variant.pollution, one.variant.name, one.variant.settings) for one in judged]
    assert len(names) == len(set(names))


def test_what_a_dialect_tells_is_loaded_right(judged: list[Judged]) -> None:
    """Where the contract says how a file is written, nothing of it is held back."""
    told = [one for one in judged if one.variant.pollution in ("clean", "delimiter", "quote")]
    assert [one.variant.name for one in told if one.verdict != "right"] == []


def test_a_refusal_says_where_and_what_to_do(judged: list[Judged]) -> None:
    refused = [one for one in judged if one.verdict == REFUSED]
    for one in refused:
        assert one.error is not None and one.error.hint, one
        assert one.error.where["key"] and one.error.where["dataset"]
        if one.variant.pollution not in WITHOUT_A_LINE and "not-named-so" not in one.variant.name:
            assert one.error.where.get("line", 0) >= 1, one


@pytest.mark.slow
def test_spark_says_the_same(judged: list[Judged], tmp_path: Path) -> None:
    chosen = judged[::40]
    engine = SparkEngine(master="local[2]", plain_from=0)
    found = Bench(tmp_path, engine).judge([one.variant for one in chosen])
    engine.close()
    assert [(one.variant.name, one.verdict) for one in found] == [(one.variant.name, one.verdict) for one in chosen]
