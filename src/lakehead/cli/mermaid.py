"""Draws a workflow document as a mermaid state diagram."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any


def to_mermaid(document: Mapping[str, Any]) -> str:
    """The diagram of a valid document. Branches and item processors are drawn inside their state."""
    return "\n".join(["stateDiagram-v2", *_machine(document, "  ", count(1))]) + "\n"


def _machine(document: Mapping[str, Any], indent: str, numbers: Iterator[int]) -> Iterator[str]:
    states: Mapping[str, Any] = document["States"]
    ids = {name: f"s{next(numbers)}" for name in states}
    for name, state in states.items():
        yield f'{indent}state "{_label(name)}" as {ids[name]}'
        inner = _inner(state)
        if inner:
            yield f"{indent}state {ids[name]} {{"
            for position, machine in enumerate(inner):
                if position:
                    yield f"{indent}  --"
                yield from _machine(machine, indent + "  ", numbers)
            yield f"{indent}}}"
    yield f"{indent}[*] --> {ids[document['StartAt']]}"
    for name, state in states.items():
        for target, label in _arrows(state):
            told = f" : {_label(label)}" if label else ""
            yield f"{indent}{ids[name]} --> {ids.get(target, '[*]')}{told}"


def _inner(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The machines inside a Parallel or Map state."""
    if state["Type"] == "Parallel":
        return list(state["Branches"])
    processor = state.get("ItemProcessor") or state.get("Iterator")
    return [processor] if processor else []


def _arrows(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where a state leads, with what is written at the arrow; the end has no name."""
    for choice in state.get("Choices", ()):
        yield choice["Next"], str(choice.get("Comment") or _condition(choice))
    if "Default" in state:
        yield state["Default"], "otherwise"
    for catcher in state.get("Catch", ()):
        yield catcher["Next"], "on " + " or ".join(catcher["ErrorEquals"])
    if "Next" in state:
        yield state["Next"], ""
    elif state.get("End") or state["Type"] in ("Succeed", "Fail"):
        yield "", ""


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
