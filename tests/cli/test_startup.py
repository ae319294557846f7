"""`--help` is quick because nothing heavy is imported, and every command has help."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from lakehead import __version__
from lakehead.cli.app import COMMANDS, root

HEAVY = {
    "duckdb", "pyspark", "py4j", "sqlglot", "jsonschema", "yaml", "boto3", "botocore", "rich", "watchdog", "apprise",
    "filelock", "pythonjsonlogger", "sqlite3", "tomllib", "asyncio", "urllib.request", "lakehead.lake",
    "lakehead.config",
}  # fmt: skip


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["query", "--help"], ["runs", "ls", "--help"]])
def test_help_imports_nothing_heavy(command: list[str]) -> None:
    probe = (
        "import sys, json; from lakehead.cli import main; "
        f"code = main({command!r}); sys.stdout.flush(); "
        "sys.stderr.write(json.dumps([code, sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60)
    code, modules = json.loads(done.stderr)
    assert code == 0 and done.stdout
    assert not HEAVY & set(modules)


def test_the_root_help_imports_no_command() -> None:
    probe = "import sys; from lakehead.cli import main; main(['--help']); sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60)
    assert "lakehead.cli.app" in done.stderr
    assert "lakehead.cli.commands" not in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there_and_has_help(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None and command.name == name and command.help
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        assert inner.help, inner.name


def test_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lakehead", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == f"lakehead, version {__version__}\n"


def test_shell_completion_names_the_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lakehead"],
        env={"_LAKEHEAD_COMPLETE": "bash_complete", "COMP_WORDS": "lakehead qu", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["plain,query", "plain,quarantine"]
    assert done.returncode == 0 and not done.stderr
