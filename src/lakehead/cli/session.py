"""What one run of the command line knows: the options, and from them the settings, the lake and the two streams."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from logging import Handler
    from pathlib import Path

    from rich.progress import Progress

    from lakehead.cli.lakes import AnyLake
    from lakehead.config import LakeConfig


@dataclass
class Session:
    """The options of this run. `settings` holds KEY=VALUE texts."""

    lake: str | None = None
    env: str | None = None
    output: str = "table"
    settings: tuple[str, ...] = ()
    log_level: str | None = None
    engine: str | None = None
    quiet: bool = False
    debug: bool = False
    log_file: Path | None = field(default=None, init=False)
    log: Handler | None = field(default=None, init=False)

    def config(self) -> LakeConfig:
        """The settings that hold for this run. Raises ConfigError."""
        from pathlib import Path

        from lakehead.config import load_config

        overrides: dict[str, Any] = {}
        for pair in self.settings:
            name, equals, value = pair.partition("=")
            if not equals:
                raise click.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--set")
            overrides[name.strip().replace("-", "_")] = value
        overrides |= {name: value for name in ("engine", "log_level") if (value := getattr(self, name))}
        return load_config(Path(self.lake) if self.lake else None, self.env, overrides)

    @contextlib.contextmanager
    def open(self) -> Iterator[AnyLake]:
        """The lake, open for the length of the block, with its log file."""
        import logging

        from lakehead.logs import log_to_file
        from lakehead.private import own_state

        config = self.config()
        own_state(config.state_dir)
        self.log = log_to_file(config.log_file, level=logging.getLevelNamesMapping()[config.log_level.upper()])
        self.log_file = config.log_file

        from lakehead.cli.lakes import open_lake

        with open_lake(config) as lake:
            yield lake

    def close(self) -> None:
        """Let go of the log file. Last of all, so that an unexpected error is still written to it."""
        if self.log is not None:
            import logging

            logging.getLogger("lakehead").removeHandler(self.log)
            self.log.close()
            self.log = None

    def show(self, value: Any) -> None:
        """Print a command's answer to stdout in the chosen form."""
        from lakehead.cli.render import render

        render(value, self.output)

    def say(self, text: str) -> None:
        """A remark on stderr, unless --quiet."""
        if not self.quiet:
            from lakehead.cli.render import printable

            click.echo(printable(text, keep="\n"), err=True)

    @contextlib.contextmanager
    def progress(self) -> Iterator[Progress]:
        """A progress bar on stderr; invisible where stderr is no terminal or --quiet was given."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
        )
        console = Console(stderr=True)
        with Progress(*columns, console=console, disable=self.quiet or not console.is_terminal, transient=True) as bar:
            yield bar


def current() -> Session:
    """The session of the running command."""
    session = click.get_current_context().find_root().obj
    assert isinstance(session, Session)
    return session


def silence_stdout() -> None:
    """Send what is still buffered nowhere, so that the interpreter's own flush at exit does not complain."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
