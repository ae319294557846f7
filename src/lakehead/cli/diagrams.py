"""Draws a workflow document: as mermaid text, as Graphviz's DOT, and as a picture.

States are coloured by what an execution made of them, where one is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lakehead.errors import ConfigError
from lakehead.workflow.path import START, PathTaken

SUFFIXES = (".svg", ".png", ".dot", ".mmd")

COLOURS = {
    "SUCCEEDED": ("#d7f0dd", "#1a7f37"),
    "RUNNING": ("#d8eaff", "#0969da"),
    "CAUGHT": ("#fff0c8", "#9a6700"),
    "FAILED": ("#ffdcd9", "#cf222e"),
    "ABORTED": ("#ececec", "#57606a"),
}
"""Fill and line of a state by its status."""
_PLAIN = ("#ffffff", "#8c959f")
_FONT = 'fontname="Helvetica,Arial,sans-serif"'


def to_mermaid(document: Mapping[str, Any], taken: PathTaken | None = None) -> str:
    """A state diagram of a valid document. Branches and item processors are drawn inside their state."""
    ids: dict[str, str] = {}
    lines = ["stateDiagram-v2", *_mermaid(document, "  ", ids)]
    if taken is not None:
        used = sorted({visits.status for visits in taken.states.values()})
        lines += [f"  classDef {s.lower()} fill:{COLOURS[s][0]},stroke:{COLOURS[s][1]},color:#1f2328" for s in used]
        lines += [f"  class {ids[name]} {v.status.lower()}" for name, v in taken.states.items() if name in ids]
    return "\n".join(lines) + "\n"


def _mermaid(document: Mapping[str, Any], indent: str, ids: dict[str, str]) -> Iterator[str]:
    states: Mapping[str, Any] = document["States"]
    for name in states:
        ids[name] = f"s{len(ids) + 1}"
    for name, state in states.items():
        yield f'{indent}state "{_label(name)}" as {ids[name]}'
        inner = _inner(state)
        if inner:
            yield f"{indent}state {ids[name]} {{"
            for position, machine in enumerate(inner):
                if position:
                    yield f"{indent}  --"
                yield from _mermaid(machine, indent + "  ", ids)
            yield f"{indent}}}"
    yield f"{indent}[*] --> {ids[document['StartAt']]}"
    for name, state in states.items():
        for arrow in _arrows(state):
            told = f" : {_label(arrow.label)}" if arrow.label else ""
            yield f"{indent}{ids[name]} --> {ids.get(arrow.target, '[*]')}{told}"


def to_dot(document: Mapping[str, Any], taken: PathTaken | None = None) -> str:
    """A Graphviz graph of a valid document. A Parallel or Map state is a box around its branches."""
    return "\n".join(_Dot(taken).graph(document)) + "\n"


class _Dot:
    """Names stand in labels only: a state may be called as a node of ours is."""

    def __init__(self, taken: PathTaken | None) -> None:
        self.taken = taken
        self.ids: dict[str, str] = {}

    def graph(self, document: Mapping[str, Any]) -> Iterator[str]:
        yield "digraph workflow {"
        yield f"  graph [{_FONT}, ranksep=0.4, nodesep=0.3, pad=0.2]"
        yield f'  node [{_FONT}, shape=box, style="rounded,filled", fontsize=11, height=0.4]'
        yield f'  edge [{_FONT}, fontsize=9, arrowsize=0.7, color="{_PLAIN[1]}", fontcolor="#57606a"]'
        yield f'  start [label="", shape=circle, width=0.15, height=0.15, style=filled, fillcolor="{_PLAIN[1]}"]'
        yield f'  end [label="", shape=doublecircle, width=0.12, style=filled, fillcolor="{_PLAIN[1]}"]'
        yield from self._machine(document, "  ", "start", "end")
        yield "}"

    def _machine(self, document: Mapping[str, Any], indent: str, before: str, after: str) -> Iterator[str]:
        """The states of one machine; `before` leads to its first state, and its last states lead to `after`."""
        states: Mapping[str, Any] = document["States"]
        for name in states:
            self.ids[name] = f"s{len(self.ids) + 1}"
        for name, state in states.items():
            yield from self._state(name, state, indent)
        first = document["StartAt"]
        yield self._edge(indent, before, self.ids[first], "", (START, first, False))
        for name, state in states.items():
            for arrow in _arrows(state):
                # What a Parallel or Map state made leaves its box below; an error leaves it at once.
                joined = _inner(state) and not arrow.caught
                source = f"{self.ids[name]}_joined" if joined else self.ids[name]
                to = self.ids[arrow.target] if arrow.target else after
                yield self._edge(indent, source, to, arrow.label, (name, arrow.target, arrow.caught))

    def _state(self, name: str, state: Mapping[str, Any], indent: str) -> Iterator[str]:
        node = self.ids[name]
        inner = _inner(state)
        if not inner:
            yield f"{indent}{node} [{self._style(name, state)}]"
            return
        yield f"{indent}subgraph cluster_{node} {{"
        yield f'{indent}  graph [style="rounded", color="{self._colours(name)[1]}", margin=10]'
        yield f"{indent}  {node} [{self._style(name, state)}]"
        yield f'{indent}  {node}_joined [label="", shape=point, width=0.06]'
        for machine in inner:
            yield from self._machine(machine, indent + "  ", node, f"{node}_joined")
        yield f"{indent}}}"

    def _style(self, name: str, state: Mapping[str, Any]) -> str:
        fill, line = self._colours(name)
        visits = self.taken.states.get(name) if self.taken else None
        times = f" ({visits.count} times)" if visits and visits.count > 1 else ""
        tip = f"{state['Type']}{f': {visits.status}' if visits else ''}"
        told = f'label={_quoted(name + times)}, tooltip={_quoted(tip)}, fillcolor="{fill}", color="{line}"'
        return told + (', peripheries=2, style="filled"' if state["Type"] == "Choice" else "")

    def _colours(self, name: str) -> tuple[str, str]:
        visits = self.taken.states.get(name) if self.taken else None
        return COLOURS[visits.status] if visits else _PLAIN

    def _edge(self, indent: str, source: str, target: str, label: str, transition: tuple[str, str, bool]) -> str:
        told = [f"label={_quoted(_wrapped(label))}"] if label else []
        if self._was_taken(transition):
            told.append(f'color="{COLOURS["SUCCEEDED"][1]}", penwidth=2')
        return f"{indent}{source} -> {target}" + (f" [{', '.join(told)}]" if told else "")

    def _was_taken(self, transition: tuple[str, str, bool]) -> bool:
        if self.taken is None:
            return False
        name, target, _ = transition
        if not target:
            visits = self.taken.states.get(name)
            return visits is not None and visits.status == "SUCCEEDED"
        return transition in self.taken.transitions


def drawn(document: Mapping[str, Any], taken: PathTaken | None, suffix: str) -> bytes:
    """A file's content by its suffix, one of SUFFIXES. Raises ConfigError where a picture needs what is missing."""
    if suffix == ".mmd":
        return to_mermaid(document, taken).encode()
    dot = to_dot(document, taken)
    return dot.encode() if suffix == ".dot" else _picture(dot, suffix[1:])


def _picture(dot: str, kind: str) -> bytes:
    try:
        import pygraphviz
    except ImportError as error:
        hint = "pip install 'lakehead[graph]', or save .dot text and draw that."
        raise ConfigError("a picture needs Graphviz", hint=hint) from error
    picture: bytes = pygraphviz.AGraph(string=dot).draw(format=kind, prog="dot")
    return picture


def _inner(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The machines inside a Parallel or Map state."""
    if state["Type"] == "Parallel":
        return list(state["Branches"])
    processor = state.get("ItemProcessor") or state.get("Iterator")
    return [processor] if processor else []


@dataclass(frozen=True, slots=True)
class _Arrow:
    """Where a state leads (`target` is empty for the end), what is written at it, and whether a Catch leads there."""

    target: str
    label: str = ""
    caught: bool = False


def _arrows(state: Mapping[str, Any]) -> Iterator[_Arrow]:
    for choice in state.get("Choices", ()):
        yield _Arrow(choice["Next"], str(choice.get("Comment") or _condition(choice)))
    if "Default" in state:
        yield _Arrow(state["Default"], "otherwise")
    for catcher in state.get("Catch", ()):
        yield _Arrow(catcher["Next"], "on " + " or ".join(catcher["ErrorEquals"]), caught=True)
    if "Next" in state:
        yield _Arrow(state["Next"])
    elif state.get("End") or state["Type"] in ("Succeed", "Fail"):
        yield _Arrow("")


def _condition(rule: Mapping[str, Any]) -> str:
    """A Choice rule in a few words."""
    for word in ("And", "Or"):
        if word in rule:
            return f" {word.lower()} ".join(_condition(part) for part in rule[word])
    if "Not" in rule:
        return f"not {_condition(rule['Not'])}"
    if "Condition" in rule:
        return str(rule["Condition"])
    return " ".join(f"{rule.get('Variable', '')} {k} {v}" for k, v in rule.items() if k not in ("Variable", "Next"))


def _label(text: str) -> str:
    """Text that mermaid takes as it is: without the characters of its own grammar."""
    return re.sub(r"[^\w .,$<>=()\[\]-]+|--+", " ", text).strip()[:120]


def _wrapped(text: str, width: int = 34) -> str:
    """Text in short lines, so that a long condition does not stretch the picture."""
    import textwrap

    return "\n".join(textwrap.wrap(text, width)[:4])


def _quoted(text: str) -> str:
    """A string of DOT."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
