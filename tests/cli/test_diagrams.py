"""The text of diagrams: what is drawn of each state, and of the path that was taken."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
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
    """The arrows between two states by their names; `name>` is the point where the inside of a state ends."""
    nodes = re.findall(r'^ *(\w+) \[label="([^"(]+?)(?: \(\d+ times\))?"', dot, re.MULTILINE)
    ids: dict[str, str] = {name: node for node, name in nodes}

    def node(name: str) -> str:
        return ids[name[:-1]] + "_joined" if name.endswith(">") else ids.get(name, name)

    return [line for line in dot.splitlines() if line.split("[")[0].strip() == f"{node(source)} -> {node(target)}"]


def test_dot_draws_a_box_around_what_is_inside_of_a_state() -> None:
    load_definition(DOCUMENT)
    dot = to_dot(DOCUMENT)
    assert dot.count("subgraph cluster_") == 1
    assert edges(dot, "Each", "One") and edges(dot, "One", "Each>") and edges(dot, "Each>", "Stop")
    (caught,) = edges(dot, "Each", "Stop")
    assert "on States.ALL" in caught
    assert 'fillcolor="#d7f0dd"' not in dot


def test_dot_colours_the_path_and_no_other_arrow() -> None:
    dot = to_dot(DOCUMENT, TAKEN)
    assert 'label="One (3 times)"' in dot
    (caught,), (on,) = edges(dot, "Each", "Stop"), edges(dot, "Each>", "Stop")
    assert "penwidth" in caught and "penwidth" not in on
    assert "penwidth" in edges(dot, "Stop", "end")[0]
    assert "penwidth" not in edges(dot, "One", "Each>")[0]


def test_states_may_be_called_like_the_drawing_s_own_nodes() -> None:
    names = ("start", "end", "s1", "s1_joined")
    states: dict[str, Any] = {name: {"Type": "Pass", "Next": after} for name, after in pairwise(names)}
    document = {"StartAt": "start", "States": {**states, names[-1]: {"Type": "Succeed"}}}
    dot = to_dot(document)
    assert len([line for line in dot.splitlines() if "tooltip=" in line]) == 4
    assert [line.strip() for line in dot.splitlines() if "->" in line] == [
        "start -> s1", "s1 -> s2", "s2 -> s3", "s3 -> s4", "s4 -> end",
    ]  # fmt: skip


def test_a_comment_that_begins_with_on_is_no_catch() -> None:
    rule = {"Variable": "$.x", "IsPresent": True, "Next": "A", "Comment": "on weekends"}
    choice = {"Type": "Choice", "Default": "B", "Choices": [rule]}
    document = {"StartAt": "C", "States": {"C": choice, "A": {"Type": "Succeed"}, "B": {"Type": "Succeed"}}}
    dot = to_dot(document, PathTaken({}, frozenset({("C", "A", False)})))
    assert "penwidth" in edges(dot, "C", "A")[0] and "penwidth" not in edges(dot, "C", "B")[0]


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
