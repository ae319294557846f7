"""Plans to publish: what is decided from a record and a candidate, before any file is touched."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.jobs import CONTRACT, DATASET

from lakehead.errors import RewriteRefused
from lakehead.etl.base import CommitRecord, EngineResult, JobRequest, StagedFile
from lakehead.etl.commit import Candidate, Outcome, PublishPlan, Stored, decide, plan_publish
from lakehead.model import ObjectVersion
from lakehead.storage import layout

KEY = f"{DATASET}/ingest_date=2025-01-05/x.csv"


def version(content: str, sequencer: int) -> ObjectVersion:
    return ObjectVersion("raw", KEY, content * 64, 10, f"{sequencer:X}")


def candidate(content: str, sequencer: int, *, force: bool = False, bytes_of: str = "", **contract: Any) -> Candidate:
    mark = bytes_of or content
    result = EngineResult(
        rows_read=5,
        rows_committed=4,
        rows_quarantined=1,
        files=tuple(StagedFile(Path(f"{content}{n}"), f"day={n}", 2, 100, f"{mark}{n}") for n in range(2)),
        quarantine=StagedFile(Path(f"{content}-q"), "", 1, 50, f"{mark}-q"),
        reasons={"bad": 1},
    )
    request = JobRequest(DATASET, version(content, sequencer), f"execution-{content}", "attempt", force)
    return Candidate(request, replace(CONTRACT, **contract), content * 64, "small", result, "now")


def plan(current: CommitRecord | None, offered: Candidate, **options: Any) -> PublishPlan:
    stored = Stored(current, "etag", {"source": {}}) if current else None
    return plan_publish(stored, offered, bucket="processed", **options)


def committed(content: str, sequencer: int, over: CommitRecord | None = None, **options: Any) -> CommitRecord:
    made = plan(over, candidate(content, sequencer, **options))
    assert made.outcome is Outcome.COMMITTED
    return made.record


FIRST = committed("a", 5)


@pytest.mark.parametrize(
    ("content", "sequencer", "contract", "force", "expected"),
    [
        ("a", 5, "c1", False, Outcome.UNCHANGED),
        ("a", 4, "c1", False, Outcome.UNCHANGED),
        ("a", 6, "c1", False, Outcome.UNCHANGED),
        ("b", 4, "c1", False, Outcome.SUPERSEDED),
        ("b", 4, "c1", True, Outcome.SUPERSEDED),
        ("b", 6, "c1", False, Outcome.COMMITTED),
        ("b", 5, "c1", False, Outcome.COMMITTED),
        ("a", 5, "c1", True, Outcome.COMMITTED),
        ("a", 4, "c1", True, Outcome.COMMITTED),
        ("a", 5, "c2", False, Outcome.COMMITTED),
        ("a", 4, "c2", False, Outcome.COMMITTED),
    ],
)
def test_what_a_version_is_to_the_record(
    content: str, sequencer: int, contract: str, force: bool, expected: Outcome
) -> None:
    offered = replace(CONTRACT, sha256=contract * 32)
    assert decide(FIRST, version(content, sequencer), content * 64, offered, force=force) is expected


def test_sequencers_compare_as_numbers_of_any_length() -> None:
    record = replace(FIRST, source=replace(FIRST.source, sequencer="FF"))
    older, newer = replace(version("b", 0), sequencer="00000FE"), replace(version("b", 0), sequencer="100")
    assert decide(record, older, "b" * 64, CONTRACT) is Outcome.SUPERSEDED
    assert decide(record, newer, "b" * 64, CONTRACT) is Outcome.COMMITTED


def test_a_first_commit_moves_files_then_puts_the_record_where_none_is() -> None:
    made = plan(None, candidate("a", 5))
    assert made.if_match == ""
    assert made.document is not None
    assert [move.key for move in made.moves] == list(made.record.keys)
    assert made.deletions == made.leftovers == ()
    assert made.commit_key == layout.commit_key(DATASET, version("a", 5).id)
    assert (made.record.rows_read, made.record.rows_committed, made.record.rows_quarantined) == (5, 4, 1)
    assert made.record.schema == (("id", "bigint"), ("amount", "decimal(12,2)"))
    assert made.record.execution == "execution-a"


def test_names_follow_from_source_contract_and_bytes_alone() -> None:
    assert committed("a", 5).keys == committed("a", 9, force=True).keys
    assert committed("a", 5).keys != committed("b", 5).keys
    assert committed("a", 5).keys != committed("a", 5, sha256="c2" * 32).keys
    assert committed("a", 5).keys != committed("a", 5, bytes_of="z").keys


def test_a_rewrite_replaces_the_files_of_the_old_version_only() -> None:
    made = plan(FIRST, candidate("b", 6))
    assert made.if_match == "etag"
    assert set(made.deletions) == set(FIRST.keys)
    assert set(made.record.keys).isdisjoint(FIRST.keys)
    assert made.record.replaced == made.deletions


def test_a_replay_gives_the_same_names_and_deletes_nothing() -> None:
    made = plan(FIRST, candidate("a", 5, force=True))
    assert made.record.keys == FIRST.keys
    assert made.deletions == ()
    assert len(made.moves) == 3


def test_a_replay_that_gives_other_bytes_never_overwrites_the_files_that_are_read() -> None:
    made = plan(FIRST, candidate("a", 5, force=True, bytes_of="z"))
    assert set(made.record.keys).isdisjoint(FIRST.keys)
    assert set(made.deletions) == set(FIRST.keys)


def test_a_replay_with_an_older_sequencer_keeps_the_newer_one() -> None:
    assert committed("a", 4, FIRST, force=True).source == FIRST.source


def test_a_name_that_somebody_may_still_be_deleting_is_not_taken() -> None:
    second = committed("b", 6, FIRST)
    third = plan(second, candidate("a", 7))
    assert set(third.record.keys).isdisjoint(FIRST.keys)
    assert set(third.leftovers) == set(FIRST.keys)
    assert plan(second, candidate("a", 7)).record.keys == third.record.keys


def test_unchanged_finishes_the_deletions_of_a_crash_and_notes_a_newer_sequencer() -> None:
    second = committed("b", 6, FIRST)
    made = plan(second, candidate("b", 6))
    assert (made.outcome, set(made.leftovers), made.moves, made.document) == (
        Outcome.UNCHANGED,
        set(FIRST.keys),
        (),
        None,
    )
    raised = plan(second, candidate("b", 9))
    assert raised.document is not None
    assert raised.record == replace(second, source=version("b", 9))
    assert raised.record.execution == "execution-b"
    assert decide(raised.record, version("c", 8), "c" * 64, CONTRACT) is Outcome.SUPERSEDED


def test_superseded_touches_nothing() -> None:
    made = plan(FIRST, candidate("b", 4))
    assert (made.outcome, made.moves, made.document, made.deletions, made.leftovers) == (
        Outcome.SUPERSEDED,
        (),
        None,
        (),
        (),
    )


def test_reject_refuses_other_bytes_but_not_older_ones_or_another_contract() -> None:
    with pytest.raises(RewriteRefused) as caught:
        plan(FIRST, candidate("b", 6, on_rewrite="reject"))
    assert caught.value.where["key"] == KEY
    assert plan(FIRST, candidate("b", 4, on_rewrite="reject")).outcome is Outcome.SUPERSEDED
    assert plan(FIRST, candidate("a", 6, on_rewrite="reject")).outcome is Outcome.UNCHANGED
    with pytest.raises(RewriteRefused):
        plan(FIRST, candidate("b", 6, on_rewrite="reject", force=True))
    assert plan(FIRST, candidate("a", 6, on_rewrite="reject", sha256="c2" * 32)).outcome is Outcome.COMMITTED


def append(content: str, sequencer: int, over: CommitRecord | None, **options: Any) -> PublishPlan:
    return plan(over, candidate(content, sequencer, on_rewrite="append", **options))


def test_append_keeps_what_was_there_and_adds_up() -> None:
    first = append("a", 5, None).record
    second = append("b", 6, first)
    assert second.record.keys and set(second.record.keys) > set(first.keys)
    assert second.deletions == ()
    assert (second.record.rows_read, second.record.rows_committed, second.record.rows_quarantined) == (10, 8, 2)
    assert second.record.reasons == {"bad": 2}
    assert second.record.content_sha256 == "b" * 64


def test_the_same_version_never_appends_twice() -> None:
    both = append("b", 6, append("a", 5, None).record).record
    for content, sequencer in (("a", 5), ("a", 9), ("b", 6), ("b", 9)):
        assert append(content, sequencer, both).outcome is Outcome.UNCHANGED


def test_a_replay_replaces_its_own_part_of_an_append() -> None:
    both = append("b", 6, append("a", 5, None).record).record
    again = append("b", 6, both, force=True, bytes_of="z")
    assert (again.record.rows_read, len(again.record.files)) == (10, 4)
    assert set(again.deletions) == {key for key in both.keys if key not in again.record.keys}
    older = append("a", 5, both, force=True).record
    assert (older.content_sha256, older.source.sequencer, older.rows_read) == ("b" * 64, "6", 10)


def test_append_after_replace_and_replace_after_append() -> None:
    appended = append("b", 6, FIRST).record
    assert appended.rows_read == 10
    replaced = plan(appended, candidate("c", 7))
    assert replaced.record.rows_read == 5
    assert set(replaced.deletions) == set(appended.keys)
    assert replaced.record.portions == ()


@pytest.mark.parametrize("order", list(itertools.permutations([("a", 1), ("b", 2), ("c", 3)])))
def test_in_any_order_with_repeats_the_newest_version_stays(order: tuple[tuple[str, int], ...]) -> None:
    record: CommitRecord | None = None
    for content, sequencer in (*order, *order, *reversed(order)):
        record = plan(record, candidate(content, sequencer)).record
    assert record is not None
    assert (record.content_sha256, record.source.sequencer) == ("c" * 64, "3")
    assert all(f"day={n}" in file.key for n, file in enumerate(record.files))
