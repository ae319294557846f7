"""`make demo`: a lake from nothing to answers, by the commands that a person would type.

Every step runs the real command line in a process of its own; one that fails fails the demo.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from lakehead.errors import UsageError

MARK = ".lakehead-demo"
"""The file by which a later demo knows that a folder is its own to remove."""

QUESTION = "SELECT product, sum(quantity) AS units FROM processed_orders GROUP BY product ORDER BY units DESC LIMIT 3"


def main(arguments: list[str]) -> int:
    """Make the lake in the folder that is named, `demo-lake` here by default, and walk through it."""
    lake = Path(arguments[0] if arguments else "demo-lake")
    try:
        clear(lake)
    except UsageError as error:
        say(f"Error: {error}")
        return 2
    steps = walk(lake)
    for title, command in steps:
        say(heading(title))
        code = run(command, lake)
        if code:
            say(f"\nThe demo stops: this command ended with {code}.")
            return code
        if command[0] == "init":
            (lake / MARK).touch()
    say(f"\n{what_next(lake)}")
    return 0


def walk(lake: Path) -> list[tuple[str, list[str]]]:
    """The steps: what each shows, and its command."""
    samples = sorted(str(path) for path in (Path(__file__).parent / "sales" / "samples").glob("*.csv"))
    return [
        ("Make a lake: settings, contract, queries, workflow, sample files", ["init", str(lake)]),
        ("Land the sample files in the raw zone", ["put", *(f"samples/{Path(path).name}" for path in samples)]),
        ("Each landed object is an event; each event runs the workflow: crawl, load, commit, announce", ["ingest"]),
        ("What ran", ["runs", "ls"]),
        ("What the crawlers made of it", ["catalog", "ls"]),
        ("Ask by a named query", ["query", "--named", "daily_revenue"]),
        ("Ask in Athena SQL", ["query", QUESTION]),
        ("Rows that broke the contract are kept, each with its reasons", ["quarantine", "ls"]),
        ("And the rows themselves", ["quarantine", "show"]),
        ("What was announced, each only when its rows could be queried", ["notifications", "ls"]),
        ("The same again changes nothing: rows land exactly once", ["ingest"]),
        ("Prove it: every row of the lake is accounted for", ["verify"]),
    ]


def clear(lake: Path) -> None:
    """Remove the lake of an earlier demo. Raises UsageError for a folder that no demo made."""
    if lake.is_dir() and any(lake.iterdir()):
        if not (lake / MARK).is_file():
            raise UsageError("the folder holds something that no demo made", hint="Name another one.", path=str(lake))
        shutil.rmtree(lake)


def run(command: list[str], lake: Path) -> int:
    """Show a command and run it, inside the lake once there is one."""
    say(f"$ lakehead {shlex.join(command)}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHEAD_")}
    folder = Path() if command[0] == "init" else lake
    return subprocess.run([sys.executable, "-m", "lakehead", *command], cwd=folder, env=environment).returncode


def what_next(lake: Path) -> str:
    """What a person may try after the demo."""
    where, command = shlex.quote(str(lake)), Path(sys.executable).with_name("lakehead")
    return "\n".join(
        (
            f"The lake is yours to play with: cd {where}   (lakehead is {command})",
            "  lakehead up                 watch it, and in another terminal land a file:",
            "  lakehead put more.csv",
            "  lakehead replay --all       load everything again: the same rows, the same files",
            "  lakehead runs show NAME     one execution, step by step",
            "  contracts/sales/orders.odcs.yaml says what an order is: change a rule, replay, ask again",
        )
    )


def heading(title: str) -> str:
    """A step's title, bold on a terminal."""
    return f"\n\033[1m# {title}\033[0m" if sys.stdout.isatty() else f"\n# {title}"


def say(text: str) -> None:
    """Print at once, so that it stands before what the commands print."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
