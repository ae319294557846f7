"""Commands that are imported when they are run, and options that may stand before or after the command's name.

`lakehead --help` imports no command: their names and one-line help stand in a table.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import click

if TYPE_CHECKING:
    from lakehead.cli.session import Session

OUTPUTS = ("table", "json", "csv", "parquet")
ENGINES = ("duckdb", "spark")
LOG_LEVELS = ("debug", "info", "warning", "error")


class SuggestingGroup(click.Group):
    """A group that answers a misspelt command with the nearest one there is."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name. Raises click.UsageError with the nearest name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            raise click.UsageError(error.message + (f' Did you mean "{near[0]}"?' if near else ""), ctx) from None


class LazyGroup(SuggestingGroup):
    """A group whose commands are named by a table: name -> (module, one-line help). The module holds `command`."""

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names, in the table's order."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now."""
        if cmd_name not in self.table:
            return None
        module = importlib.import_module(self.table[cmd_name][0])
        return cast(click.Command, module.command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])


class Command(click.Command):
    """A command that also takes the global options, so that they may stand after its name."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        own = {name for parameter in self.params for name in parameter.opts}
        self.params += [option for option in global_options(hidden=True) if not own & set(option.opts)]
        self.epilog = self.epilog or "--lake, --env, --output and the other options of lakehead may stand here too."


class Group(SuggestingGroup):
    """A group of such commands."""

    command_class = Command


def global_options(*, hidden: bool = False) -> list[click.Option]:
    """The options of every command. Their values go into the Session that the context carries."""

    def option(*names: str, help: str, **more: Any) -> click.Option:
        return click.Option(names, help=help, expose_value=False, callback=_remember, hidden=hidden, **more)

    return [
        option("--lake", metavar="DIR", help="The lake's folder (LAKEHEAD_LAKE)."),
        option("--env", metavar="NAME", help="The environment, dev or prod (LAKEHEAD_ENV)."),
        option("--output", "-o", type=click.Choice(OUTPUTS), help="How to print; parquet is for query only."),
        option("--engine", type=click.Choice(ENGINES), help="What runs the ETL job."),
        option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Another value for one setting."),
        option("--log-level", type=click.Choice(LOG_LEVELS), help="What goes into the log file."),
        option("--quiet", "-q", is_flag=True, default=None, help="No progress and no remarks on stderr."),
        option("--debug", is_flag=True, default=None, help="Show the traceback of an unexpected error."),
    ]


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value is None or value == ():
        return
    session = cast("Session", ctx.find_root().obj)
    setattr(session, str(param.name), value)
