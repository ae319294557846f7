"""Amazon States Language: load, interpret (pure), journal (SQLite), run. Knows nothing of lakes."""

from lakehead.workflow.definition import load_definition
from lakehead.workflow.execute import execute
from lakehead.workflow.machine import advance, redrive, start
from lakehead.workflow.states import Definition
from lakehead.workflow.types import ExecutionInfo, ExecutionResult, Step, TaskError, TaskHandler, TaskRequest

__all__ = [
    "Definition",
    "ExecutionInfo",
    "ExecutionResult",
    "Step",
    "TaskError",
    "TaskHandler",
    "TaskRequest",
    "advance",
    "execute",
    "load_definition",
    "redrive",
    "start",
]
