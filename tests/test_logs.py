"""One JSON object per line, with the execution and the object in every line."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehead.logs import json_handler, log_context, log_to_file


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """Lakehead's logger, left as it was found."""
    found = logging.getLogger("lakehead")
    handlers, level, propagate = list(found.handlers), found.level, found.propagate
    yield found
    for handler in found.handlers:
        if handler not in handlers:
            handler.close()
    found.handlers, found.level, found.propagate = handlers, level, propagate
    found.manager._clear_cache()  # type: ignore[attr-defined]


@pytest.fixture
def lines(logger: logging.Logger, tmp_path: Path) -> Any:
    path = tmp_path / "logs" / "lakehead.jsonl"
    log_to_file(path)
    return lambda: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line(lines: Any) -> None:
    logging.getLogger("lakehead.etl").info("loaded %d rows", 3, extra={"rows": 3})
    (line,) = lines()
    assert line.pop("timestamp").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "lakehead.etl",
        "message": "loaded 3 rows",
        "execution": None,
        "object": None,
        "rows": 3,
    }


def test_what_a_line_says_of_itself_is_kept(lines: Any) -> None:
    log = logging.getLogger("lakehead.x")
    log.info("alone", extra={"execution": "run-1"})
    with log_context(execution="run-2"):
        log.info("within another", extra={"execution": "run-1"})
    assert [line["execution"] for line in lines()] == ["run-1", "run-1"]


def test_the_context_is_in_every_line_and_ends(lines: Any) -> None:
    log = logging.getLogger("lakehead.x")
    with log_context(execution="run-1"):
        with log_context(object="s3://raw/a.csv", dataset="sales/orders"):
            log.info("inner")
        log.info("outer")
    log.info("after")
    inner, outer, after = lines()
    assert (inner["execution"], inner["object"], inner["dataset"]) == ("run-1", "s3://raw/a.csv", "sales/orders")
    assert (outer["execution"], outer["object"]) == ("run-1", None)
    assert "dataset" not in outer
    assert after["execution"] is None


def test_threads_have_their_own_context(lines: Any) -> None:
    log, meet = logging.getLogger("lakehead.x"), threading.Barrier(2, timeout=20)

    def work(name: str) -> None:
        with log_context(execution=name):
            meet.wait()
            log.info(name)
            meet.wait()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(line["execution"], line["message"]) for line in lines()} == {("a", "a"), ("b", "b")}


def test_whatever_is_said_stays_one_line_of_json(lines: Any) -> None:
    log = logging.getLogger("lakehead.x")
    for text in ("two\nlines", 'quote " and \\', "ü🚢\u2028", "odd name \udcff", "\0"):
        log.info("%s", text)
        assert lines()[-1]["message"] == text
    assert len(lines()) == 5


def test_a_traceback_is_in_its_line(lines: Any) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("lakehead.x").exception("stumbled")
    (line,) = lines()
    assert "ValueError: broken" in line["exc_info"]


def test_the_level_is_kept(logger: logging.Logger, tmp_path: Path) -> None:
    log_to_file(tmp_path / "a.jsonl", level=logging.WARNING)
    logger.info("no")
    assert not (tmp_path / "a.jsonl").exists()
    logger.warning("yes")
    assert (tmp_path / "a.jsonl").read_text().count("\n") == 1


def test_a_handler_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    handler = json_handler(logging.StreamHandler())
    record = logging.LogRecord("lakehead.y", logging.INFO, __file__, 1, "hello", None, None)
    handler.handle(record)
    assert json.loads(capsys.readouterr().err)["message"] == "hello"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_is_told_once_and_fails_nothing(logger: logging.Logger, capsys: Any) -> None:
    handler = log_to_file(Path("/dev/full"))
    log = logging.getLogger("lakehead.x")
    for number in range(3):
        log.info("line %d", number)
    handler.close()
    told = capsys.readouterr().err
    assert told == "The log file cannot be written (No space left on device): /dev/full\n"


def test_a_file_that_cannot_be_opened_is_told_once_and_fails_nothing(
    logger: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / ("x" * 300)
    log_to_file(path)
    for number in range(3):
        logging.getLogger("lakehead.x").info("line %d", number)
    assert capsys.readouterr().err == f"The log file cannot be written (File name too long): {path}\n"
