"""Every error becomes one readable message on stderr and an exit code; never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from lakehead import errors
from lakehead.cli.app import root
from lakehead.cli.failure import report
from lakehead.cli.session import Session

Call = Callable[..., tuple[int, str, str]]


def every_error() -> list[type[errors.LakeheadError]]:
    found, todo = [], [errors.LakeheadError]
    while todo:
        kind = todo.pop()
        found.append(kind)
        todo += kind.__subclasses__()
    return found


@pytest.mark.parametrize("kind", every_error())
def test_the_exit_code_follows_from_the_type(
    kind: type[errors.LakeheadError], capsys: pytest.CaptureFixture[str]
) -> None:
    code = report(kind("it broke", hint="mend it", key="a/b.csv", line=3, column=None), Session())
    assert code == (75 if kind.retryable else 2 if issubclass(kind, errors.UsageError) else 1)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "Error: it broke\n  key: a/b.csv\n  line: 3\nNext: mend it\n"


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    report(errors.HeaderMismatch("no such column", column="price", file=Path("x")), Session(output="json"))
    told = json.loads(capsys.readouterr().err)
    assert told == {
        "error": "Lakehead.HeaderMismatch",
        "message": "no such column",
        "hint": "",
        "where": {"column": "price", "file": "x"},
    }


def test_file_and_line_stand_together(capsys: pytest.CaptureFixture[str]) -> None:
    report(errors.ConfigError("wrong", file="a.toml", line=7, key="x"), Session())
    assert "  file: a.toml:7\n  key: x\n" in capsys.readouterr().err


def test_a_message_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    report(errors.SourceError("bad \x1b[2J name", key="a\r\x9bb"), Session())
    err = capsys.readouterr().err
    assert "bad \\x1b[2J name" in err and "a\\r\\x9bb" in err


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes `lakehead doctor` raise what it is given."""

    def use(error: BaseException) -> None:
        def doctor() -> None:
            raise error

        monkeypatch.setattr(root, "get_command", lambda ctx, name: click.Command("doctor", callback=doctor))

    return use


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (KeyError("x"), 70, "unexpected KeyError: 'x'. This is a fault in Lakehead."),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (PermissionError(13, "Permission denied", "/lake/data"), 1, "Permission denied"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (RecursionError("too deep"), 70, "unexpected RecursionError"),
        (errors.Busy("the lake is in use"), 75, "the lake is in use"),
    ],
)
def test_whatever_is_raised(
    failing: Callable[[BaseException], None], call: Call, error: BaseException, code: int, told: str
) -> None:
    failing(error)
    got, out, err = call("doctor")
    assert (got, out) == (code, "")
    assert told in err and "Traceback" not in err


def test_debug_shows_the_traceback(failing: Callable[[BaseException], None], call: Call) -> None:
    failing(KeyError("x"))
    assert "Traceback" in call("--debug", "doctor")[2]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["qury"], 'Did you mean "query"?'),
        (["runs", "lst"], 'Did you mean "ls"?'),
        (["query"], "give one of: SQL"),
        (["query", "SELECT 1", "--named", "x"], "give one of: SQL"),
        (["put"], "Missing argument"),
        (["put", "/no/such/file"], "does not exist"),
        (["replay"], "say which objects"),
        (["replay", "--all", "--key", "x"], "say which objects"),
        (["replay", "--date", "2025-02-30"], "is no day"),
        (["runs", "ls", "--since", "yesterday"], "is no moment"),
        (["runs", "ls", "--limit", "0"], "0 is not in the range"),
        (["--set", "threads", "config", "show"], "is not KEY=VALUE"),
        (["--output", "xml", "config", "show"], "'xml' is not one of"),
        (["--output", "parquet", "config", "keys"], "only the query command"),
    ],
)
def test_a_wrong_command_ends_with_2(call: Call, sales: Path, command: list[str], told: str) -> None:
    code, out, err = call("--lake", str(sales), *command)
    assert (code, out) == (2, "")
    assert told in err and "Error: " in err


def test_no_lake(call: Call, tmp_path: Path) -> None:
    code, _, err = call("--lake", str(tmp_path), "runs", "ls")
    assert code == 2
    assert f"Next: Make one with: lakehead init {tmp_path}" in err


def test_json_errors_go_to_stderr_too(call: Call, tmp_path: Path) -> None:
    code, out, err = call("runs", "ls", "--lake", str(tmp_path), "--output", "json")
    assert (code, out) == (2, "")
    assert json.loads(err)["error"] == "Lakehead.ConfigError"


def test_a_reader_that_goes_away_is_no_error(sales: Path) -> None:
    probe = (
        "import sys\nfrom lakehead.cli import render, main\n"
        "from lakehead.cli.commands import config\n"
        "import lakehead.config\n"
        "lakehead.config.explain = lambda _: (('a', 'b' * 100, 'c') for _ in range(100_000))\n"
        f"sys.exit(main(['--lake', {str(sales)!r}, '-o', 'csv', 'config', 'show']))"
    )
    with subprocess.Popen([sys.executable, "-c", probe], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"setting,value,from\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141
