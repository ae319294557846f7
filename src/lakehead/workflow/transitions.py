"""What has to hold between the states of a definition: transitions and names."""

from __future__ import annotations

from collections.abc import Mapping

from lakehead.model import Json
from lakehead.workflow.loading import Faults, Reader, member
from lakehead.workflow.states import Machine


def _targets(spec: dict[str, Json]) -> list[tuple[str, Json]]:
    """(where, name) of every transition out of a state."""
    found: list[tuple[str, Json]] = [(key, spec[key]) for key in ("Next", "Default") if key in spec]
    for key in ("Choices", "Catch"):
        entries = spec.get(key)
        for index, entry in enumerate(entries if isinstance(entries, list) else []):
            if isinstance(entry, dict) and "Next" in entry:
                found.append((f"{key}[{index}].Next", entry["Next"]))
    return found


def check_graph(machine: Machine, states: dict[str, Json], reader: Reader) -> None:
    """Every transition leads to a state, every state can be reached, and something ends the machine."""
    known = {name: spec for name, spec in states.items() if isinstance(spec, dict)}
    for name, spec in known.items():
        for where, target in _targets(spec):
            if isinstance(target, str) and target not in states:
                path = f"{member(f'{machine.key}.States', name)}.{where}"
                reader.faults.report(path, f"there is no state {target!r}")
    reached, pending = set(), [machine.start_at]
    while pending:
        name = pending.pop()
        if name in known and name not in reached:
            reached.add(name)
            pending.extend(target for _, target in _targets(known[name]) if isinstance(target, str))
    if machine.start_at in states:
        for name in states:
            if name not in reached and name in known:
                reader.faults.report(member(f"{machine.key}.States", name), f"state {name!r} cannot be reached")
    ends = (spec.get("End") is True or spec.get("Type") in ("Succeed", "Fail") for spec in known.values())
    if known and not any(ends):
        reader.fail("States", "no state ends the machine: add End: true, a Succeed or a Fail state")


def check_names(machines: Mapping[str, Machine], faults: Faults) -> None:
    """A state's name is unique in the whole document (ASL specification, "States")."""
    places: dict[str, str] = {}
    for machine in machines.values():
        for name in machine.states:
            path = member(f"{machine.key}.States", name)
            if name in places:
                faults.lint(path, f"the name {name!r} is taken by {places[name]}")
            places.setdefault(name, path)
