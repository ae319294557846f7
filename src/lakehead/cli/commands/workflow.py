"""`lakehead workflow`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from lakehead.cli.lazy import Group
from lakehead.cli.render import Answer
from lakehead.cli.session import current
from lakehead.errors import DefinitionError, UsageError

FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


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
def graph(file: Path | None) -> None:
    """Print a document's states as a mermaid diagram."""
    from lakehead.cli.mermaid import to_mermaid

    drawn = to_mermaid(_valid(file)[1])
    current().show(Answer({"mermaid": drawn}, [drawn]))


@command.command("run")
@click.argument("file", type=FILE)
@click.option("--input", "given", default="{}", show_default=True, help="The execution's input as JSON.")
@click.option(
    "--answers", type=FILE, help='JSON file: {"State": {"output": ...} or {"outcome": "fail", "error": ...}}.'
)
def run(file: Path, given: str, answers: Path | None) -> None:
    """Run a document in memory, waits skipped, tasks answered from a file. Ends with 1 where it fails."""
    from lakehead.workflow import execute

    _, document = _valid(file)
    told = _load(answers) if answers else {}
    if not isinstance(told, dict):
        raise UsageError("the answers are a JSON object: state name to answer", file=str(answers))

    def answer(state_name: str, _request: Any) -> Any:
        entry = told.get(state_name)
        if isinstance(entry, list) and entry:
            entry = entry.pop(0) if len(entry) > 1 else entry[0]
        if not isinstance(entry, dict):
            hint = 'Add it to the --answers file: {"' + state_name + '": {"output": {}}}'
            raise UsageError("no answer is given for this state", state=state_name, hint=hint)
        return entry

    result = execute(document, _parse(given, "--input"), answer)
    data = {name: getattr(result, name) for name in ("status", "output", "error", "cause", "history")}
    shown = {name: value for name, value in data.items() if name != "history" and value is not None}
    current().show(Answer(data, [json.dumps(shown, indent=2, ensure_ascii=False)]))
    if result.status != "SUCCEEDED":
        raise click.exceptions.Exit(1)


def _document(file: Path | None) -> tuple[Path, dict[str, Any]]:
    path = file or current().config().workflow_file
    document = _load(path)
    if not isinstance(document, dict):
        raise DefinitionError("a state machine is a JSON object", file=str(path))
    return path, document


def _valid(file: Path | None) -> tuple[Path, dict[str, Any]]:
    from lakehead.workflow import load_definition

    path, document = _document(file)
    try:
        load_definition(document)
    except DefinitionError as error:
        error.where["file"] = str(path)
        raise
    return path, document


def _load(path: Path) -> Any:
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
