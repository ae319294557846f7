"""The text of diagrams: what is drawn of each state, and of the path that was taken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lakehead.cli.diagrams import drawn, to_dot, to_mermaid
from lakehead.errors import ConfigError
from lakehead.workflow import load_definition
from lakehead.workflow.path import PathTaken, Visits

ODD = 'A "quoted" \\ name\nof two lines'
DOCUMENT: dict[str, Any] = {
    "StartAt": ODD,
    "States": {
        ODD: {"Type": "Choice", "Choices": [{"Variable": "$.x", "IsPresent": True, "Next": "Each"}], "Default": "Stop"},
        "Each": {
            "Type": "Map",
            "ItemProcessor": {"StartAt": "One", "States": {"One": {"Type": "Pass", "End": True}}},
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Stop"}],
            "Next": "Stop",
        },
        "Stop": {"Type": "Succeed"},
    },
}
TAKEN = PathTaken(
    {"Each": Visits(1, "CAUGHT"), "One": Visits(3, "FAILED"), "Stop": Visits(1, "SUCCEEDED")},
    frozenset({("Each", "Stop", True)}),
)


def edges(dot: str, source: str, target: str) -> list[str]:
    return [line for line in dot.splitlines() if line.strip().startswith(f'"{source}" -> {target}')]


def test_dot_draws_a_box_around_what_is_inside_of_a_state() -> None:
    load_definition(DOCUMENT)
    dot = to_dot(DOCUMENT)
    assert dot.count("subgraph cluster_") == 1
    assert edges(dot, "Each", '"One"') and edges(dot, "One", '"Each joined"') and edges(dot, "Each joined", '"Stop"')
    (caught,) = edges(dot, "Each", '"Stop"')
    assert "on States.ALL" in caught
    assert 'fillcolor="#d7f0dd"' not in dot


def test_dot_colours_the_path_and_no_other_arrow() -> None:
    dot = to_dot(DOCUMENT, TAKEN)
    assert 'label="One (3 times)"' in dot
    (caught,), (on,) = edges(dot, "Each", '"Stop"'), edges(dot, "Each joined", '"Stop"')
    assert "penwidth" in caught and "penwidth" not in on
    assert "penwidth" in next(line for line in dot.splitlines() if '"Stop" -> end' in line)
    assert "penwidth" not in next(line for line in dot.splitlines() if '"One" -> "Each joined"' in line)


def test_mermaid_classes_follow_the_status() -> None:
    text = to_mermaid(DOCUMENT, TAKEN)
    assert text.count("classDef ") == 3
    one = next(line.split()[-1] for line in text.splitlines() if 'state "One"' in line)
    assert f"  class {one} failed" in text.splitlines()
    assert "class" not in to_mermaid(DOCUMENT)


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_graphviz_takes_any_name(suffix: str) -> None:
    pytest.importorskip("pygraphviz", reason="pictures are an extra")
    picture = drawn(DOCUMENT, TAKEN, suffix)
    assert len(picture) > 1000
    if suffix == ".svg":
        text = picture.decode()
        assert "of two lines" in text and "A &quot;quoted&quot; \\ name" in text


def test_a_picture_without_graphviz_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(ConfigError, match=r"lakehead\[graph\]"):
        drawn(DOCUMENT, None, ".svg")
    assert drawn(DOCUMENT, None, ".dot").startswith(b"digraph")


def test_importing_the_module_does_not_import_graphviz(tmp_path: Path) -> None:
    code = "import sys, lakehead.cli.diagrams; sys.exit('pygraphviz' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=60).returncode == 0
