"""Executions: in brief, as a graph, and state by state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from lakehead.model import Json
from lakehead.results import GraphEdge, GraphNode, RunGraph, RunSummary, StateVisit
from lakehead.workflow.graph import Machine, State, graph_of, was_taken
from lakehead.workflow.journal import Execution, Journal
from lakehead.workflow.path import START, PathTaken, path_taken, stays

_START, _END = "start", "end"
"""The ids of the whole graph's own nodes; those of states are `s1`, `s2`, ..."""


def run_summary(execution: Execution) -> RunSummary:
    """An execution in brief. The rows are those its output tells."""
    output = execution.output if isinstance(execution.output, dict) else {}
    seconds = (execution.ended - execution.started).total_seconds() if execution.ended else None
    return RunSummary(
        execution.name,
        execution.status,
        execution.labels.get("dataset", ""),
        execution.labels.get("key", ""),
        execution.started,
        execution.ended,
        seconds,
        output.get("rows_read"),
        output.get("rows_committed"),
        output.get("rows_quarantined"),
        execution.error,
        execution.cause,
    )


def run_graph(journal: Journal, name: str) -> RunGraph:
    """An execution's document as a graph, with the path that it took. Raises ExecutionNotFound."""
    return _graph(journal.history(name), journal.definition(name))


def run_timeline(journal: Journal, name: str) -> tuple[StateVisit, ...]:
    """Every stay of an execution in a state, in the order in which they began. Raises ExecutionNotFound."""
    return _timeline(journal.history(name), journal.definition(name))


def run_course(journal: Journal, name: str) -> tuple[RunGraph, tuple[StateVisit, ...]]:
    """Both the graph and the timeline, by one look into the journal. Raises ExecutionNotFound."""
    history, document = journal.history(name), journal.definition(name)
    return _graph(history, document), _timeline(history, document)


def _graph(history: Iterable[Mapping[str, Json]], document: Mapping[str, Json]) -> RunGraph:
    drawing = _Drawing(graph_of(document), path_taken(history, document))
    return RunGraph(tuple(drawing.nodes()), tuple(drawing.edges()))


def _timeline(history: Iterable[Mapping[str, Json]], document: Mapping[str, Json]) -> tuple[StateVisit, ...]:
    return tuple(
        StateVisit(one.name, one.type, one.status, one.entered, one.exited, one.depth, one.attempts)
        for one in stays(history, document)
    )


class _Drawing:
    """A graph in one level: nodes with their parents, and edges."""

    def __init__(self, graph: Machine, taken: PathTaken) -> None:
        self.graph, self.taken, self.ids = graph, taken, graph.ids()

    def nodes(self) -> Iterator[GraphNode]:
        yield GraphNode(_START, "", "Start")
        yield from self._nodes(self.graph, "")
        yield GraphNode(_END, "", "End")

    def edges(self) -> Iterator[GraphEdge]:
        return self._edges(self.graph, _START, _END)

    def _nodes(self, machine: Machine, parent: str) -> Iterator[GraphNode]:
        for state in machine.states:
            visits = self.taken.states.get(state.name)
            status, count = (visits.status, visits.count) if visits else ("", 0)
            yield GraphNode(state.id, state.name, state.type, parent, status, count)
            for inner in state.inner:
                yield from self._nodes(inner, state.id)
            if state.inner:
                yield GraphNode(_join(state), "", "Join", state.id)

    def _edges(self, machine: Machine, before: str, after: str) -> Iterator[GraphEdge]:
        """`before` leads to the machine's first state, and its last states lead to `after`."""
        yield GraphEdge(before, self.ids[machine.first], "", (START, machine.first, False) in self.taken.transitions)
        for state in machine.states:
            for inner in state.inner:
                yield from self._edges(inner, state.id, _join(state))
            for arrow in state.arrows:
                # What a Parallel or Map state made leaves its frame below; an error leaves it at once.
                source = _join(state) if state.inner and not arrow.caught else state.id
                target = self.ids[arrow.target] if arrow.target else after
                taken = was_taken(self.taken, state.name, arrow)
                yield GraphEdge(source, target, arrow.label, taken, arrow.caught)


def _join(state: State) -> str:
    return f"{state.id}_joined"
