"""Whatever happens in whatever order: what is processed is a function of what is raw."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import pytest
from chaos import truth
from chaos.machine import Fault, Zygote
from chaos.scenes import key, land, text, write_lake
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from lakehead.model import Json, ObjectCreated, ObjectVersion
from lakehead.storage import LocalStore

BUCKET = "sales-datalake-raw-dev"
NAMES = ("a.csv", "b.csv", "c.csv")
ROWS = (
    "C1,Mouse,2,500,2025-01-01",
    "C2,Lamp,1,19.99,2025-01-02",
    "C3,Refund,1,-5.00,2025-01-02",  # fits only where the contract allows for a negative price
    ",Nobody,1,1,2025-01-03",
    '"C4","Keyboard ""X""",3,0.01,2025-01-03',
)
GOOD = "C0,Pencil,1,0.10,2025-01-01"
"""In every file that has rows: one whose rows all break the contract fails as a whole."""
LEAST_PRICES = (0, -100)
CALLS = 2_000

Loaded: TypeAlias = tuple[bytes, int]
"""A version of a file, and the least price of the contract by which it was loaded."""

names = st.sampled_from(NAMES)
contents: st.SearchStrategy[list[str]] = st.just([]) | st.lists(st.sampled_from(ROWS), max_size=4).map(
    lambda rows: [GOOD, *rows]
)


class Model:
    """For each key the versions, with the least price of their contract, that the lake may hold the rows of."""

    def __init__(self) -> None:
        self.raw: dict[str, bytes] = {}
        self.least = LEAST_PRICES[0]
        self.may: dict[str, set[Loaded | None]] = {key(name): {None} for name in NAMES}

    def interrupted(self) -> None:
        """What is in the raw zone may be loaded by now, or not yet."""
        for place, data in self.raw.items():
            self.may[place].add((data, self.least))

    def loaded(self) -> None:
        """What is in the raw zone is loaded: now, or before, when another contract was in force."""
        for place, data in self.raw.items():
            before = {one for one in self.may[place] if one and one[0] == data}
            self.may[place] = {*before, (data, self.least)}

    def replayed(self) -> None:
        """What is in the raw zone is loaded by the contract that is in force."""
        for place, data in self.raw.items():
            self.may[place] = {(data, self.least)}


class LakeMachine(RuleBasedStateMachine):
    """A lake, and what people, networks and crashes do to it."""

    zygote: ClassVar[Zygote]
    events: Bundle[Json] = Bundle("events")

    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(prefix="lakehead-model-", dir=memory if memory.is_dir() else None))
        self.root = self.folder / "lake"
        write_lake(self.root)
        self.store = LocalStore(self.root / "data")
        self.store.create_bucket(BUCKET)
        self.model, self.at_rest = Model(), False

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    # What happens to the raw zone, and what is told of it

    @rule(target=events, name=names, rows=contents)
    def put(self, name: str, rows: list[str]) -> Json:
        """A file lands, or is overwritten; its event may come later, more than once, or never."""
        data = text(1000 * (1 + NAMES.index(name)), *rows)
        land(self.root, {key(name): data})
        self.model.raw[key(name)] = data
        self.at_rest = False
        info = self.store.head(BUCKET, key(name))
        version = ObjectVersion(info.bucket, info.key, info.etag, info.size, info.sequencer)
        return ObjectCreated.of(version).to_eventbridge()

    @precondition(lambda self: self.model.raw)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.model.raw)))
        (self.root / truth.RAW / place).unlink()
        del self.model.raw[place]
        self.at_rest = False

    @rule(event=events, times=st.integers(1, 2))
    def deliver(self, event: Json, times: int) -> None:
        """An event comes: soon, late, out of order, again."""
        self.done("deliver", self.zygote.call(self.root, "chaos.people:deliver", given={"events": [event] * times}))
        self.at_rest = False

    @rule(least=st.sampled_from(LEAST_PRICES))
    def change_the_contract(self, least: int) -> None:
        contract = self.root / "contracts/sales/orders.odcs.yaml"
        told = contract.read_text()
        contract.write_text(told.replace(f"minimum: {self.model.least}\n", f"minimum: {least}\n"))
        self.model.least = least

    # What Lakehead does

    @rule()
    def ingest(self) -> None:
        self.done("ingest", self.zygote.run(self.root, "ingest"), failing=True)
        self.model.loaded()
        self.at_rest = True

    @rule()
    def replay(self) -> None:
        self.done("replay", self.zygote.run(self.root, "replay", "--all"), failing=True)
        self.model.replayed()
        self.at_rest = True

    @rule(command=st.sampled_from([("ingest",), ("replay", "--all")]), at=st.integers(1, CALLS))
    def crash(self, command: tuple[str, ...], at: int) -> None:
        ended = self.zygote.run(self.root, *command, fault=Fault(at))
        if not ended.killed:
            self.done("what should have crashed", ended, failing=True)
        self.model.interrupted()
        self.at_rest = False

    @precondition(lambda self: self.at_rest)
    @rule()
    def verify(self) -> None:
        self.done("verify", self.zygote.run(self.root, "verify"))

    def done(self, what: str, ended: Any, *, failing: bool = False) -> None:
        """A load fails, and says so, where its object was deleted or rewritten in between."""
        assert ended.code in ((0, 1) if failing else (0,)), f"{what} ended with {ended.code}: {ended.out} {ended.err}"
        assert "Traceback" not in ended.err, ended.err

    # What must hold

    @invariant()
    def processed_is_a_function_of_raw(self) -> None:
        """At rest the lake holds what the model allows, to the last digit, and says so everywhere."""
        if not self.at_rest:
            return
        records, loaded, least = truth.records(self.root), {}, {}
        for place, may in self.model.may.items():
            etag = records[place]["source"]["etag"] if place in records else None
            fitting = {one for one in may if (truth.sha256(one[0]) if one else None) == etag}
            assert fitting, f"{place}: version {etag} is loaded, and may not be"
            by_contract = [one for one in fitting if not one or self.accounts(records[place], *one)]
            assert by_contract, f"{place}: the rows are not those of its version by any contract"
            self.model.may[place] = set(by_contract)
            if by_contract[0]:
                loaded[place], least[place] = by_contract[0]
        check = truth.Check(self.root, loaded, least=least, landed=self.model.raw, strict=False)
        assert check.run() == []
        assert truth.raw_files(self.root) == self.model.raw

    def accounts(self, record: dict[str, Any], data: bytes, least: int) -> bool:
        return bool(truth.expected(data, least).committed == record["rows_committed"])


def run(zygote: Zygote, *, examples: int, steps: int) -> None:
    LakeMachine.zygote = zygote
    run_state_machine_as_test(
        LakeMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


def test_processed_is_a_function_of_raw(zygote: Zygote) -> None:
    run(zygote, examples=8, steps=12)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_processed_is_a_function_of_raw_at_length(zygote: Zygote) -> None:
    run(zygote, examples=150, steps=40)


def test_the_model_notices(zygote: Zygote) -> None:
    """Control: a lake that holds another version than the raw zone is told, and rows that nobody was told of."""
    machine = LakeMachine.__new__(LakeMachine)
    LakeMachine.zygote = zygote
    LakeMachine.__init__(machine)
    try:
        machine.put("a.csv", list(ROWS[:2]))
        machine.ingest()
        machine.processed_is_a_function_of_raw()
        with closing(sqlite3.connect(machine.root / truth.STATE / "notify.db")) as notify, notify:
            notify.execute("DELETE FROM deliveries")
            notify.execute("DELETE FROM notifications")
        with pytest.raises(AssertionError, match="told"):
            machine.processed_is_a_function_of_raw()
        machine.model.raw[key("a.csv")] = text(1000, ROWS[0])
        machine.model.loaded()
        with pytest.raises(AssertionError, match="may not be"):
            machine.processed_is_a_function_of_raw()
    finally:
        machine.teardown()
