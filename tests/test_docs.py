"""The README's tour is run, command by command, and every document's links and settings are checked."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lakehead.config.settings import BY_NAME

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def tour(text: str) -> list[tuple[str, str]]:
    """The commands of ```console blocks, each with the output that is shown."""
    steps: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], []))
            else:
                steps[-1][1].append(line)
    return [(command, "\n".join(shown)) for command, shown in steps]


def matches(shown: str, printed: str) -> bool:
    """Whether output is as shown; `...` stands for anything. Spaces at line ends do not count."""
    tidy = "\n".join(line.rstrip() for line in printed.strip().splitlines())
    pattern = ".*?".join(re.escape(part) for part in shown.strip().split("..."))
    return re.fullmatch(pattern, tidy, re.DOTALL) is not None


def test_the_tour_shows_what_happens(tmp_path: Path) -> None:
    steps = [step for document in DOCUMENTS for step in tour(document.read_text(encoding="utf-8"))]
    assert len(steps) >= 10
    folder = tmp_path
    environment = {
        **os.environ,
        "COLUMNS": "160",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for command, shown in steps:
        words = shlex.split(command)
        if words[0] == "cd":
            folder = folder / words[1]
            continue
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert matches(shown, done.stdout), f"$ {command}\n{done.stdout}\nis not what the README shows:\n{shown}"


def test_a_wrong_tour_would_be_noticed() -> None:
    assert matches("a ... c", "a b c") and matches("a\n...", "a\nb\nc")
    assert not matches("a ... c", "a b d") and not matches("a", "a b")


def test_python_examples_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "workflow.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "docs/workflow.md", "exec"), {})


def test_the_test_file_that_is_shown_is_one(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "workflow.md").read_text(encoding="utf-8"), re.DOTALL)
    retry = [{"ErrorEquals": ["S3.S3Exception"]}]
    ask = {
        "Type": "Task",
        "Resource": "arn:aws:states:::x:y",
        "Parameters": {"Key.$": "$.key"},
        "Retry": retry,
        "End": True,
    }
    (tmp_path / "ingest.asl.json").write_text(json.dumps({"StartAt": "Ask", "States": {"Ask": ask}}), encoding="utf-8")
    (tmp_path / "ingest.test.json").write_text(shown, encoding="utf-8")
    command = [sys.executable, "-m", "lakehead", "workflow", "test", str(tmp_path / "ingest.test.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_settings_that_are_shown_exist(document: Path) -> None:
    for block in re.findall(r"```toml\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL):
        for table in tomllib.loads(block).get("env", {}).values():
            assert set(table) <= set(BY_NAME), document.name
