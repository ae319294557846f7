"""`lakehead workflow`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lakehead.cli.lazy import Group
from lakehead.cli.render import Answer, Listing
from lakehead.cli.session import current
from lakehead.errors import DefinitionError, UsageError

if TYPE_CHECKING:
    from lakehead.workflow import Definition
    from lakehead.workflow.mocks import MockedCase, MockedMachine
    from lakehead.workflow.path import PathTaken
    from lakehead.workflow.testing import Suite

FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
SAVED = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.group("workflow", cls=Group)
def command() -> None:
    """Workflow documents in Amazon States Language."""


@command.command("validate")
@click.argument("file", type=FILE, required=False)
def validate(file: Path | None) -> None:
    """Check a document (the lake's own unless FILE is given)."""
    path, document = _valid(file)
    states = len(document["States"])
    current().show(Answer({"file": str(path), "valid": True, "states": states}, [f"{path} is valid: {states} states."]))


@command.command("graph")
@click.argument("file", type=FILE, required=False)
@click.option("--execution", metavar="NAME", help="Colour the path that this execution took; FILE is then its own.")
@click.option("--save", type=SAVED, help="Write a picture (.svg, .png) or its text (.dot, .mmd) instead.")
def graph(file: Path | None, execution: str | None, save: Path | None) -> None:
    """Draw a document's states: as mermaid text, or as a picture."""
    from lakehead.cli import diagrams

    if file and execution:
        raise UsageError("give a FILE or an --execution, not both", hint="An execution has its own document.")
    if save and save.suffix not in diagrams.SUFFIXES:
        raise UsageError("no such kind of picture", file=str(save), expected=", ".join(diagrams.SUFFIXES))
    document, taken = _executed(execution) if execution else (_valid(file)[1], None)
    if save is None:
        drawn = diagrams.to_mermaid(document, taken)
        current().show(Answer({"mermaid": drawn}, [drawn]))
        return
    save.write_bytes(diagrams.drawn(document, taken, save.suffix))
    current().show(Answer({"file": str(save)}, [f"Wrote {save}"]))


def _executed(name: str) -> tuple[dict[str, Any], PathTaken]:
    """The document that an execution runs, and its path through it."""
    from lakehead.workflow.path import path_taken

    with current().open() as lake:
        document = lake.run_document(name)
        return document, path_taken(lake.run(name).history, document)


@command.command("run")
@click.argument("file", type=FILE)
@click.option("--input", "given", type=FILE, help="JSON file with the execution's input; - is stdin. [default: {}]")
@click.option("--mock", type=FILE, help="JSON file with the answers of Task states, as Step Functions Local reads it.")
@click.option("--case", metavar="NAME", help="Which of the mock file's test cases; needed where there are several.")
def run(file: Path, given: Path | None, mock: Path | None, case: str | None) -> None:
    """Run a document in memory, waits skipped, tasks answered from a mock file. Ends with 1 where it fails."""
    from lakehead.workflow import execute
    from lakehead.workflow.mocks import MockedCase, MockedTasks, check_mocks

    if [file, given, mock].count(Path("-")) > 1:
        raise UsageError("stdin can only be read once", hint="Give at most one - .")
    if case and not mock:
        raise UsageError("--case chooses a test case of a --mock file", case=case)
    definition = _loaded(file)
    chosen = _chosen_case(mock, file, case) if mock else MockedCase("execution", {}, {})
    check_mocks(definition, chosen)
    result = execute(definition, _load(given) if given else chosen.input, MockedTasks(chosen))
    data = {name: getattr(result, name) for name in ("status", "output", "error", "cause", "history")}
    shown = {name: value for name, value in data.items() if name != "history" and value is not None}
    current().show(Answer(data, [json.dumps(shown, indent=2, ensure_ascii=False)]))
    if result.status != "SUCCEEDED":
        raise click.exceptions.Exit(1)


def _chosen_case(mock: Path, definition: Path, name: str | None) -> MockedCase:
    """The test case to run: the named one, or the only one, of the state machine that the definition's file names."""
    from lakehead.workflow.mocks import state_machine_name

    machines = _mocks(mock)
    own = [machine for machine in machines if machine.name == state_machine_name(definition.name)]
    cases = [case for machine in own or machines for case in machine.cases if name in (None, case.name)]
    if len(cases) == 1:
        return cases[0]
    known = [case.name for machine in own or machines for case in machine.cases]
    if not known:
        raise UsageError("the mock file has no test case", file=str(mock))
    what = "the mock file has several test cases" if cases else "there is no such test case"
    raise UsageError(what, file=str(mock), case=name, hint=f"Name one with --case: {', '.join(known)}")


@command.command("test")
@click.argument("files", type=FILE, nargs=-1, metavar="[FILE]...")
@click.option("--definition", type=FILE, help="The document to test, instead of the one that each file names.")
def test(files: tuple[Path, ...], definition: Path | None) -> None:
    """Run the test cases of mock files: those beside the lake's document, workflow/*.test.json, unless FILEs are given.

    Ends with 1 where one fails.
    """
    from lakehead.workflow.testing import Suite

    found = files or tuple(sorted(current().config().workflow_file.parent.glob("*.test.json")))
    if not found:
        raise UsageError("there are no tests", hint="Name mock files, or write workflow/<name>.test.json.")
    suite = Suite()
    for file in found:
        for machine in _mocks(file):
            path = definition or file.parent / (machine.definition or f"{machine.name}.asl.json")
            suite.run(str(path), _loaded(path), machine)
    if not suite.verdicts:
        raise UsageError("there are no test cases", file=", ".join(map(str, found)))
    current().show(_tested(suite))
    if suite.failed:
        raise click.exceptions.Exit(1)


def _tested(suite: Suite) -> Answer:
    failed, untested = suite.failed, suite.untested()
    rows = [(one.machine, one.case, "passed" if one.passed else "FAILED") for one in suite.verdicts]
    parts: list[str | Listing] = [Listing(("machine", "case", "result"), rows)]
    parts += ["\n".join((f"\n{one.machine} {one.case}", *(f"  {line}" for line in one.differences))) for one in failed]
    parts += [f"\nNo test enters {', '.join(states)} ({document})" for document, states in untested.items()]
    counts = {"passed": len(suite.verdicts) - len(failed), "failed": len(failed)}
    parts.append(f"\n{counts['passed']} passed, {counts['failed']} failed")
    return Answer({**counts, "cases": suite.verdicts, "untested": untested}, parts)


def _mocks(file: Path) -> tuple[MockedMachine, ...]:
    from lakehead.workflow.mocks import load_mocks

    try:
        return load_mocks(_load(file))
    except UsageError as error:
        error.where.setdefault("file", str(file))
        raise


def _document(file: Path | None) -> tuple[Path, dict[str, Any]]:
    path = file or current().config().workflow_file
    document = _load(path)
    if not isinstance(document, dict):
        raise DefinitionError("a state machine is a JSON object", file=str(path))
    return path, document


def _valid(file: Path | None) -> tuple[Path, dict[str, Any]]:
    path, document = _document(file)
    _checked(path, document)
    return path, document


def _loaded(path: Path) -> Definition:
    return _checked(*_document(path))


def _checked(path: Path, document: dict[str, Any]) -> Definition:
    from lakehead.workflow import load_definition

    try:
        return load_definition(document)
    except DefinitionError as error:
        error.where["file"] = str(path)
        raise


def _load(path: Path) -> Any:
    if "\0" in str(path):
        raise UsageError("a file name holds no NUL", file=repr(str(path)))
    text = sys.stdin.read() if str(path) == "-" else None
    try:
        return _parse(path.read_text(encoding="utf-8") if text is None else text, str(path))
    except UnicodeDecodeError as error:
        raise UsageError("not UTF-8 text", file=str(path), byte=error.start) from error


def _parse(text: str, source: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"not JSON: {error.msg}", file=source, line=error.lineno, column=error.colno) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not JSON: {error}", file=source) from error
