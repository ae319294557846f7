"""`lakehead deploy`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lakehead.cli.lazy import Group
from lakehead.cli.render import Answer, Listing
from lakehead.cli.session import Session, current

if TYPE_CHECKING:
    from lakehead.aws.package import Bundle
    from lakehead.aws.terraform import Terraform

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.group("deploy", cls=Group)
def command() -> None:
    """Deploy an environment to AWS by Terraform. What Terraform says goes to stderr."""


def job_options(decorated: _Command) -> _Command:
    """--bundle FILE and --script FILE."""
    bundle = click.option("--bundle", type=FILE, help="A bundle that was built before, by: lakehead package glue.")
    script = click.option("--script", type=FILE, help="Its script.")
    return bundle(script(decorated))


yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


@command.command("plan")
@job_options
def plan(bundle: Path | None, script: Path | None) -> None:
    """Show what `apply` would change; changes nothing."""
    session = current()
    changes = _opened(session, bundle, script).plan()
    told = f"Carry it out with: {_again(session, 'apply')}" if changes else "Nothing to change."
    session.show(Answer({"changes": changes}, [told]))


@command.command("apply")
@job_options
@yes_option
def apply(bundle: Path | None, script: Path | None, yes: bool) -> None:
    """Make the deployment what the lake's files say: shows what would change, asks, and does it."""
    session = current()
    terraform = _opened(session, bundle, script)
    if terraform.plan():
        _ask(session, yes, f"Apply this to the environment {session.config().environment}?")
        terraform.apply()
    session.show(_outputs(session))


@command.command("outputs")
def outputs() -> None:
    """Show what the environment consists of: buckets, state machines, roles, ..."""
    session = current()
    session.show(_outputs(session))


@command.command("destroy")
@job_options
@yes_option
def destroy(bundle: Path | None, script: Path | None, yes: bool) -> None:
    """Take the environment down: shows what would go, asks, and does it. Buckets with data in them are refused."""
    session = current()
    terraform = _opened(session, bundle, script, any_will_do=True)
    changes = terraform.plan(destroy=True)
    if changes:
        _ask(session, yes, f"Destroy the environment {session.config().environment}?")
        terraform.apply()
    session.show(Answer({"destroyed": changes}, ["Destroyed." if changes else "Nothing is deployed."]))


def _opened(session: Session, wheels: Path | None, script: Path | None, *, any_will_do: bool = False) -> Terraform:
    from lakehead.aws import deploy
    from lakehead.aws.package import Bundle
    from lakehead.storage.etags import sha256_file

    config = session.config()
    if (wheels is None) != (script is None):
        raise click.UsageError("--bundle and --script belong together: give both, or neither")

    def job() -> Bundle:
        if wheels is None or script is None:
            return deploy.bundle(config, session.say, any_will_do=any_will_do)
        with wheels.open("rb") as file:
            return Bundle(wheels, script, sha256_file(file))

    return deploy.open_deployment(config, job)


def _outputs(session: Session) -> Answer:
    from lakehead.aws import deploy

    found = deploy.outputs(session.config())
    rows = [row for name, value in sorted(found.items()) for row in _rows(name, value)]
    return Answer(found, [Listing(("output", "value"), rows)])


def _rows(name: str, value: Any) -> list[tuple[str, Any]]:
    """A value on a line, the entries of a mapping each on a line of its own."""
    if isinstance(value, dict):
        return [row for key, entry in sorted(value.items()) for row in _rows(f"{name}.{key}", entry)]
    return [(name, value)]


def _ask(session: Session, yes: bool, question: str) -> None:
    if yes:
        return
    if not click.confirm(question, err=True):
        session.say("Nothing was changed.")
        raise click.exceptions.Exit(1)


def _again(session: Session, name: str) -> str:
    return f"lakehead --env {session.config().environment} deploy {name}"
