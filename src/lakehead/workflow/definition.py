"""Loads a state machine: checks its structure, names every fault with its JSON path, and compiles it."""

from __future__ import annotations

from typing import Any

from lakehead.errors import DefinitionError
from lakehead.model import Json
from lakehead.workflow import fields
from lakehead.workflow.choice import compile_condition, is_number
from lakehead.workflow.jsonata import compile_jsonata_condition
from lakehead.workflow.loading import Faults, Reader, constant, member
from lakehead.workflow.states import (
    ChoiceRule,
    ChoiceState,
    Definition,
    FailState,
    Machine,
    MapState,
    Number,
    ParallelState,
    PassState,
    State,
    SucceedState,
    TaskState,
    WaitState,
)
from lakehead.workflow.timestamps import parse_timestamp
from lakehead.workflow.transitions import check_graph, check_names

MAX_SECONDS = 99_999_999
MAX_COUNT = 100_000_000
MAX_DEPTH = 40
"""Machines nest at most this deep here, so that no document exhausts the stack."""


def load_definition(document: Json, *, stored: bool = False) -> Definition:
    """Load a state machine that was parsed from JSON. The document must not be changed afterwards.

    `stored`: executions of it run already, so rules that do not keep it from being run are not held against it.
    Raises DefinitionError: `where["path"]` is the JSON path of the fault, or of the first; where there are several,
    `where["faults"]` lists all of them as `path: message`.
    """
    faults = Faults(stored=stored)
    loader = _Loader(faults)
    timeout = None
    if isinstance(document, dict):
        try:
            loader.machine(document, "$", jsonata=False, allowed=fields.TOP, what="a state machine")
        except RecursionError:
            faults.report("$", "the document is nested too deeply")
        reader = Reader(document, "$", faults)
        timeout = reader.number("TimeoutSeconds", 1, MAX_SECONDS)
        check_names(loader.machines, faults)
        if document.get("Version", "1.0") != "1.0":
            reader.fail("Version", 'Version is "1.0"')
    else:
        faults.report("$", "a state machine is a JSON object")
    if faults.found:
        raise _refusal(faults.found)
    comment = document.get("Comment")
    return Definition(document, loader.machines, timeout, comment if isinstance(comment, str) else "")


def _refusal(found: list[tuple[str, str]]) -> DefinitionError:
    path, message = found[0]
    if len(found) == 1:
        return DefinitionError(message, path=path)
    faults = [f"{where}: {what}" for where, what in found]
    return DefinitionError(f"{len(found)} faults; the first: {message}", path=path, faults=faults)


class _Loader:
    """Compiles machine by machine into `machines`."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.machines: dict[str, Machine] = {}
        self.depth = 0

    def machine(self, spec: Json, key: str, *, jsonata: bool, allowed: set[str], what: str) -> None:
        """Compile the object that holds States at `key`."""
        if not isinstance(spec, dict):
            self.faults.report(key, f"{what} is an object")
            return
        reader = Reader(spec, key, self.faults, jsonata)
        reader.unknown(allowed, what)
        jsonata = _language(reader, jsonata)
        start = reader.text("StartAt", required=True)
        states = spec.get("States")
        if not isinstance(states, dict) or not states:
            reader.fail("States", "States is an object of states that is not empty")
            return
        if start is not None and start not in states:
            reader.fail("StartAt", f"there is no state {start!r}")
        machine = Machine(key, start or "")
        self.machines[key] = machine
        self.depth += 1
        if self.depth > MAX_DEPTH:
            reader.fail("", f"machines nest at most {MAX_DEPTH} deep")
        else:
            for name, state in states.items():
                compiled = self._state(name, state, member(f"{key}.States", name), jsonata)
                if compiled is not None:
                    machine.states[name] = compiled
        self.depth -= 1
        check_graph(machine, states, reader)

    def _state(self, name: str, spec: Json, path: str, jsonata: bool) -> State | None:
        if not isinstance(spec, dict):
            self.faults.report(path, "a state is an object")
            return None
        if not 0 < len(name) <= 80:
            self.faults.report(path, "a state's name has 1 to 80 characters")
        reader = Reader(spec, path, self.faults, jsonata, outer=jsonata)
        reader.jsonata = jsonata = _language(reader, jsonata, state=True)
        kind = spec.get("Type")
        allowed = (fields.JSONATA if jsonata else fields.JSONPATH).get(kind) if isinstance(kind, str) else None
        if allowed is None:
            reader.fail("Type", f"Type is one of {', '.join(sorted(fields.JSONPATH))}")
            return None
        language = " in JSONata" if jsonata else ""
        reader.unknown(allowed, f"a {kind} state{language}")
        common = self._common(name, str(kind), reader)
        build = getattr(self, f"_{str(kind).lower()}")
        built: State = build(reader, common)
        return built

    def _common(self, name: str, kind: str, reader: Reader) -> dict[str, Any]:
        keys, text = ((), "$") if reader.jsonata else reader.result_path()
        common: dict[str, Any] = {"name": name, "type": kind, "jsonata": reader.jsonata}
        common.update(result_keys=keys, result_text=text, assign=reader.assign(), next=_next(kind, reader))
        if reader.jsonata:
            common.update(arguments=reader.template("Arguments"), output=reader.template("Output"))
        else:
            common.update(select=reader.path_or_null("InputPath"), output=reader.path_or_null("OutputPath"))
            common.update(result_selector=reader.template("ResultSelector"))
            if kind != "Map":
                common.update(arguments=reader.template("Parameters"))
        if kind in ("Task", "Parallel", "Map"):
            common.update(retry=reader.retriers(), catch=reader.catchers())
        return common

    def _pass(self, reader: Reader, common: dict[str, Any]) -> State:
        result = (reader.spec["Result"],) if "Result" in reader.spec else None
        return PassState(**common, result=result)

    def _succeed(self, _reader: Reader, common: dict[str, Any]) -> State:
        return SucceedState(**common)

    def _fail(self, reader: Reader, common: dict[str, Any]) -> State:
        found = {}
        for key in ("Error", "Cause"):
            by_path = f"{key}Path"
            if key in reader.spec and by_path in reader.spec:
                reader.fail(by_path, f"{key} and {by_path} exclude each other")
            if by_path in reader.spec:
                found[key] = reader.expression(by_path)
            elif reader.jsonata:
                found[key] = reader.template(key)
            else:
                text = reader.text(key)
                found[key] = None if text is None else constant(text)
        return FailState(**common, error=found["Error"], cause=found["Cause"])

    def _wait(self, reader: Reader, common: dict[str, Any]) -> State:
        given = [key for key in ("Seconds", "SecondsPath", "Timestamp", "TimestampPath") if key in reader.spec]
        if len(given) != 1:
            reader.fail("", "a Wait state has exactly one of Seconds, SecondsPath, Timestamp and TimestampPath")
            return WaitState(**common)
        field, value = given[0], reader.spec[given[0]]
        if field.endswith("Path"):
            expression = reader.expression(field)
        elif reader.jsonata and isinstance(value, str):
            expression = reader.template(field)
        elif field == "Seconds":
            reader.number(field, 0, MAX_SECONDS)
            expression = constant(value)
        else:
            if parse_timestamp(value) is None:
                reader.fail(field, "Timestamp is ISO-8601 such as 2025-01-03T08:00:00Z")
            expression = constant(value)
        by_time = field.startswith("Timestamp")
        seconds, timestamp = (None, expression) if by_time else (expression, None)
        return WaitState(**common, seconds=seconds, timestamp=timestamp, field=field, text=str(value))

    def _choice(self, reader: Reader, common: dict[str, Any]) -> State:
        entries = reader.entries("Choices")
        if not entries and isinstance(reader.spec.get("Choices", []), list):
            reader.fail("Choices", "Choices is a list of rules that is not empty")
        rules = [rule for entry in entries if (rule := _choice_rule(entry)) is not None]
        return ChoiceState(**common, rules=tuple(rules), default=reader.text("Default"))

    def _task(self, reader: Reader, common: dict[str, Any]) -> State:
        resource = reader.text("Resource", required=True) or ""
        if resource and not resource.startswith("arn:"):
            reader.fail("Resource", "Resource is an ARN")
        timeout, heartbeat = (reader.spec.get(key) for key in ("TimeoutSeconds", "HeartbeatSeconds"))
        if is_number(timeout) and is_number(heartbeat) and heartbeat >= timeout:
            reader.fail("HeartbeatSeconds", "HeartbeatSeconds is smaller than TimeoutSeconds")
        return TaskState(
            **common,
            resource=resource,
            timeout=reader.limit("TimeoutSeconds", 1, MAX_SECONDS),
            heartbeat=reader.limit("HeartbeatSeconds", 1, MAX_SECONDS),
            credentials=reader.template("Credentials"),
        )

    def _parallel(self, reader: Reader, common: dict[str, Any]) -> State:
        branches = reader.spec.get("Branches")
        if not isinstance(branches, list) or not branches:
            reader.fail("Branches", "Branches is a list of machines that is not empty")
            return ParallelState(**common)
        keys = tuple(f"{reader.path}.Branches[{index}]" for index in range(len(branches)))
        for key, branch in zip(keys, branches, strict=True):
            self.machine(branch, key, jsonata=reader.outer, allowed=fields.MACHINE, what="a branch")
        return ParallelState(**common, branches=keys)

    def _map(self, reader: Reader, common: dict[str, Any]) -> State:
        names = [name for name in ("ItemProcessor", "Iterator") if name in reader.spec]
        if len(names) != 1:
            reader.fail("", "a Map state has exactly one of ItemProcessor and Iterator")
            return MapState(**common)
        key, spec = f"{reader.path}.{names[0]}", reader.spec[names[0]]
        self.machine(spec, key, jsonata=reader.outer, allowed=fields.PROCESSOR, what="an item processor")
        selectors = [name for name in ("ItemSelector", "Parameters") if name in reader.spec]
        if len(selectors) > 1:
            reader.fail("Parameters", "ItemSelector and Parameters exclude each other")
        for name in ("ItemReader", "ResultWriter"):
            if name in reader.spec:
                reader.fail(name, f"{name} reads or writes S3 and cannot be run here: pass the items in the input")
        distributed = _distributed(spec, key, self.faults)
        if "ItemBatcher" in reader.spec and not distributed:
            self.faults.lint(f"{reader.path}.ItemBatcher", "only a distributed Map has an ItemBatcher")
        batcher = Reader(spec_of(reader, "ItemBatcher"), f"{reader.path}.ItemBatcher", self.faults, reader.jsonata)
        return MapState(
            **common,
            processor=key,
            distributed=distributed,
            items=reader.template("Items") if reader.jsonata else reader.expression("ItemsPath", field_name=False),
            items_text=str(reader.spec.get("Items" if reader.jsonata else "ItemsPath", "$")),
            selector=reader.template(selectors[0]) if selectors else None,
            concurrency=reader.limit("MaxConcurrency", 0, MAX_COUNT),
            tolerated_count=reader.limit("ToleratedFailureCount", 0, MAX_COUNT),
            tolerated_percentage=reader.limit("ToleratedFailurePercentage", 0, 100, "float"),
            **_batching(batcher),
        )


def spec_of(reader: Reader, key: str) -> dict[str, Json]:
    """A field that is an object, or an empty one."""
    value = reader.spec.get(key, {})
    if not isinstance(value, dict):
        reader.fail(key, f"{key} is an object")
        return {}
    return value


def _batching(reader: Reader) -> dict[str, Any]:
    allowed = {"MaxItemsPerBatch", "MaxItemsPerBatchPath", "MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath"}
    reader.unknown(allowed | {"BatchInput"}, "ItemBatcher")
    items: Number | None = reader.limit("MaxItemsPerBatch", 1, MAX_COUNT)
    size: Number | None = reader.limit("MaxInputBytesPerBatch", 1, 262_144)
    if reader.spec and items is None and size is None:
        reader.fail("", "ItemBatcher has MaxItemsPerBatch, MaxInputBytesPerBatch or both")
    common = {"batch_items": items, "batch_bytes": size, "batched": bool(reader.spec)}
    return {**common, "batch_input": reader.template("BatchInput")}


def _distributed(spec: Json, path: str, faults: Faults) -> bool:
    config = spec.get("ProcessorConfig", {}) if isinstance(spec, dict) else {}
    if not isinstance(config, dict):
        faults.report(f"{path}.ProcessorConfig", "ProcessorConfig is an object")
        return False
    reader = Reader(config, f"{path}.ProcessorConfig", faults)
    reader.unknown({"Mode", "ExecutionType"}, "ProcessorConfig")
    mode = config.get("Mode", "INLINE")
    if mode not in ("INLINE", "DISTRIBUTED"):
        reader.fail("Mode", "Mode is INLINE or DISTRIBUTED")
    if config.get("ExecutionType", "STANDARD") not in ("STANDARD", "EXPRESS"):
        reader.fail("ExecutionType", "ExecutionType is STANDARD or EXPRESS")
    return bool(mode == "DISTRIBUTED")


def _language(reader: Reader, inherited: bool, *, state: bool = False) -> bool:
    value = reader.spec.get("QueryLanguage")
    if value is None and "QueryLanguage" not in reader.spec:
        return inherited
    if value not in ("JSONPath", "JSONata"):
        reader.fail("QueryLanguage", "QueryLanguage is JSONPath or JSONata")
        return inherited
    if state and inherited and value == "JSONPath":
        reader.fail("QueryLanguage", "a state of a JSONata machine cannot be JSONPath")
    return bool(value == "JSONata")


def _next(kind: str, reader: Reader) -> str | None:
    if kind in ("Choice", "Succeed", "Fail"):
        return None
    following = reader.text("Next")
    end = reader.spec.get("End", False)
    if not isinstance(end, bool):
        reader.fail("End", "End is true or false")
    elif ("Next" in reader.spec) == bool(end):
        reader.fail("", "a state has either Next or End: true")
    return following


def _choice_rule(reader: Reader) -> ChoiceRule | None:
    if reader.jsonata:
        reader.unknown({"Condition", "Next", "Assign", "Output", "Comment"}, "a choice rule in JSONata")
        condition = compile_jsonata_condition(
            reader.spec.get("Condition"), reader.faults.report, f"{reader.path}.Condition"
        )
    else:
        condition = compile_condition(reader.spec, reader.faults.report, reader.path, top=True)
    following = reader.text("Next", required=True)
    assign = reader.assign()
    output = reader.template("Output") if reader.jsonata else None
    if condition is None or following is None:
        return None
    return ChoiceRule(condition=condition, next=following, assign=assign, output=output)
