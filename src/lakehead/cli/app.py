"""The root command: global options, the table of commands, and the way out."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from lakehead import __version__
from lakehead.cli.lazy import LazyGroup, global_options
from lakehead.cli.session import Session

_AT = "lakehead.cli.commands."

COMMANDS = {
    "init": (_AT + "init", "Make a lake that runs, with sample data."),
    "put": (_AT + "put", "Land files in the raw zone."),
    "ingest": (_AT + "ingest", "Load whatever is new in the raw zone, once."),
    "up": (_AT + "up", "Watch the raw zone and load what lands, until stopped."),
    "console": (_AT + "console", "The web console that `up` serves: link, open, token."),
    "query": (_AT + "query", "Ask the lake in Athena SQL."),
    "runs": (_AT + "runs", "Executions: list, show, logs, redrive, stop."),
    "catalog": (_AT + "catalog", "Tables: list, show, crawl."),
    "quarantine": (_AT + "quarantine", "Rows that broke their contract: list, show."),
    "replay": (_AT + "replay", "Load objects again, after a fix."),
    "delete": (_AT + "delete", "Delete landed files for good, with their rows."),
    "verify": (_AT + "verify", "Prove the lake's invariants; mend what a crash left."),
    "doctor": (_AT + "doctor", "Check the machine and the lake."),
    "notifications": (_AT + "notifications", "What was announced: list, retry."),
    "workflow": (_AT + "workflow", "Workflow documents: validate, test, run, graph."),
    "deploy": (_AT + "deploy", "Deploy to AWS by Terraform: plan, apply, outputs, destroy."),
    "package": (_AT + "package", "What a deployment uploads: the Glue job's bundle."),
    "config": (_AT + "config", "The settings, and where each comes from."),
}


@click.group(
    "lakehead",
    cls=LazyGroup,
    table=COMMANDS,
    epilog="Start with: lakehead init my-lake",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="lakehead")
def root() -> None:
    """Files that land in a raw zone become clean, queryable tables, exactly once."""


root.params += global_options()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. stdout carries data, stderr progress and errors."""
    session = Session()
    try:
        code = root.main(args=arguments, prog_name="lakehead", obj=session, standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        return _broken_pipe()
    except SystemExit as stop:
        # click ends so after a broken pipe of its own finding, and after shell completion.
        return _broken_pipe() if stop.code == 1 else int(stop.code or 0)
    except BaseException as error:
        from lakehead.cli.failure import report

        return report(error, session)
    finally:
        session.close()
    return code if isinstance(code, int) else 0


def _broken_pipe() -> int:
    from lakehead.cli.failure import PIPE
    from lakehead.cli.session import silence_stdout

    silence_stdout()
    return PIPE
