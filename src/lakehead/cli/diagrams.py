"""Draws a workflow document: as mermaid text, as Graphviz's DOT, and as a picture.

States are coloured by what an execution made of them, where one is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lakehead.errors import ConfigError
from lakehead.workflow.graph import Machine, State, graph_of, was_taken
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
    graph = graph_of(document)
    ids = graph.ids()
    lines = ["stateDiagram-v2", *_mermaid(graph, "  ", ids)]
    if taken is not None:
        used = sorted({visits.status for visits in taken.states.values()})
        lines += [f"  classDef {s.lower()} fill:{COLOURS[s][0]},stroke:{COLOURS[s][1]},color:#1f2328" for s in used]
        lines += [f"  class {ids[name]} {v.status.lower()}" for name, v in taken.states.items() if name in ids]
    return "\n".join(lines) + "\n"


def _mermaid(machine: Machine, indent: str, ids: Mapping[str, str]) -> Iterator[str]:
    for state in machine.states:
        yield f'{indent}state "{_label(state.name)}" as {state.id}'
        if state.inner:
            yield f"{indent}state {state.id} {{"
            for position, inner in enumerate(state.inner):
                if position:
                    yield f"{indent}  --"
                yield from _mermaid(inner, indent + "  ", ids)
            yield f"{indent}}}"
    yield f"{indent}[*] --> {ids[machine.first]}"
    for state in machine.states:
        for arrow in state.arrows:
            told = f" : {_label(arrow.label)}" if arrow.label else ""
            yield f"{indent}{state.id} --> {ids.get(arrow.target, '[*]')}{told}"


def to_dot(document: Mapping[str, Any], taken: PathTaken | None = None) -> str:
    """A Graphviz graph of a valid document. A Parallel or Map state is a box around its branches."""
    return "\n".join(_Dot(graph_of(document), taken).lines()) + "\n"


class _Dot:
    """Names stand in labels only: a state may be called as a node of ours is."""

    def __init__(self, graph: Machine, taken: PathTaken | None) -> None:
        self.whole, self.taken = graph, taken
        self.ids = graph.ids()

    def lines(self) -> Iterator[str]:
        yield "digraph workflow {"
        yield f"  graph [{_FONT}, ranksep=0.4, nodesep=0.3, pad=0.2]"
        yield f'  node [{_FONT}, shape=box, style="rounded,filled", fontsize=11, height=0.4]'
        yield f'  edge [{_FONT}, fontsize=9, arrowsize=0.7, color="{_PLAIN[1]}", fontcolor="#57606a"]'
        yield f'  start [label="", shape=circle, width=0.15, height=0.15, style=filled, fillcolor="{_PLAIN[1]}"]'
        yield f'  end [label="", shape=doublecircle, width=0.12, style=filled, fillcolor="{_PLAIN[1]}"]'
        yield from self._machine(self.whole, "  ", "start", "end")
        yield "}"

    def _machine(self, machine: Machine, indent: str, before: str, after: str) -> Iterator[str]:
        """The states of one machine; `before` leads to its first state, and its last states lead to `after`."""
        for state in machine.states:
            yield from self._state(state, indent)
        entered = self.taken is not None and (START, machine.first, False) in self.taken.transitions
        yield self._edge(indent, before, self.ids[machine.first], "", entered)
        for state in machine.states:
            for arrow in state.arrows:
                # What a Parallel or Map state made leaves its box below; an error leaves it at once.
                source = f"{state.id}_joined" if state.inner and not arrow.caught else state.id
                to = self.ids[arrow.target] if arrow.target else after
                gone = self.taken is not None and was_taken(self.taken, state.name, arrow)
                yield self._edge(indent, source, to, arrow.label, gone)

    def _state(self, state: State, indent: str) -> Iterator[str]:
        node = state.id
        if not state.inner:
            yield f"{indent}{node} [{self._style(state)}]"
            return
        yield f"{indent}subgraph cluster_{node} {{"
        yield f'{indent}  graph [style="rounded", color="{self._colours(state)[1]}", margin=10]'
        yield f"{indent}  {node} [{self._style(state)}]"
        yield f'{indent}  {node}_joined [label="", shape=point, width=0.06]'
        for machine in state.inner:
            yield from self._machine(machine, indent + "  ", node, f"{node}_joined")
        yield f"{indent}}}"

    def _style(self, state: State) -> str:
        fill, line = self._colours(state)
        visits = self.taken.states.get(state.name) if self.taken else None
        times = f" ({visits.count} times)" if visits and visits.count > 1 else ""
        tip = f"{state.type}{f': {visits.status}' if visits else ''}"
        told = f'label={_quoted(state.name + times)}, tooltip={_quoted(tip)}, fillcolor="{fill}", color="{line}"'
        return told + (', peripheries=2, style="filled"' if state.type == "Choice" else "")

    def _colours(self, state: State) -> tuple[str, str]:
        visits = self.taken.states.get(state.name) if self.taken else None
        return COLOURS[visits.status] if visits else _PLAIN

    def _edge(self, indent: str, source: str, target: str, label: str, taken: bool) -> str:
        told = [f"label={_quoted(_wrapped(label))}"] if label else []
        if taken:
            told.append(f'color="{COLOURS["SUCCEEDED"][1]}", penwidth=2')
        return f"{indent}{source} -> {target}" + (f" [{', '.join(told)}]" if told else "")


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
