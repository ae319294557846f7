"""The one place where an exception becomes a message on stderr and an exit code.

0 done    1 failed    2 the command or the settings are wrong    70 unexpected    75 try again later
130 interrupted    141 the reader of the output went away
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import click

from lakehead.errors import LakeheadError, TransientError, UsageError

if TYPE_CHECKING:
    from lakehead.cli.session import Session

FAILED, USAGE, UNEXPECTED, TRY_AGAIN, INTERRUPTED, PIPE = 1, 2, 70, 75, 130, 141


def report(error: BaseException, session: Session) -> int:
    """Tell what went wrong on stderr, as JSON where the output is JSON. Returns the exit code."""
    if isinstance(error, click.Abort | KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        return _usage(error, session)
    if isinstance(error, LakeheadError):
        _tell(error.to_json(), session)
        return TRY_AGAIN if isinstance(error, TransientError) else USAGE if isinstance(error, UsageError) else FAILED
    if isinstance(error, OSError) and error.strerror:
        where = {"path": str(error.filename)} if error.filename else {}
        _tell({"error": type(error).__name__, "message": error.strerror, "hint": "", "where": where}, session)
        return FAILED
    return _unexpected(error, session)


def _usage(error: click.ClickException, session: Session) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    hint = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"Try: {error.ctx.command_path} --help"
    _tell({"error": type(error).__name__, "message": error.format_message(), "hint": hint, "where": {}}, session)
    return error.exit_code


def _unexpected(error: BaseException, session: Session) -> int:
    hint = "Run it again with --debug to see where."
    if session.log_file is not None:
        logging.getLogger("lakehead.cli").error("unexpected error", exc_info=error)
        hint = f"The details are in {session.log_file}; --debug shows them here."
    message = f"unexpected {type(error).__name__}: {error}. This is a fault in Lakehead."
    _tell({"error": type(error).__name__, "message": message, "hint": hint, "where": {}}, session)
    if session.debug:
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    return UNEXPECTED


def _tell(told: dict[str, Any], session: Session) -> None:
    from lakehead.cli.render import printable

    if session.output == "json":
        click.echo(json.dumps(told, default=str), err=True)
        return
    lines = [f"{click.style('Error:', fg='red', bold=True)} {printable(told['message'], keep=chr(10))}"]
    where = dict(told["where"])
    if "file" in where and "line" in where:
        where = {"file": f"{where.pop('file')}:{where.pop('line')}", **where}
    for name, value in where.items():
        for entry in value if isinstance(value, list | tuple) else [value]:
            lines.append(f"  {name}: {printable(str(entry))}")
    if told["hint"]:
        lines.append(f"{click.style('Next:', bold=True)} {printable(told['hint'], keep=chr(10))}")
    click.echo("\n".join(lines), err=True)
