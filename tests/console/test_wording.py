"""How values are told to people."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehead.console.figures import overview_figures, step_seconds
from lakehead.console.pages.runs import bars
from lakehead.console.wording import address, ago, compact, duration, number, percent, pretty, size, visible
from lakehead.results import Overview, StateVisit, WorkMinute

NOW = datetime(2025, 3, 1, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "\N{EN DASH}"), (0.0, "0 ms"),
        (0.0851, "85 ms"), (0.9994, "999 ms"), (1.239, "1.24 s"), (59.94, "59.9 s"),
        (60, "1 min 0 s"), (185, "3 min 5 s"), (7800, "2 h 10 min"), (356_400, "4 d 3 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float | None, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "just now"), (-3, "just now"), (59, "59 s ago"), (60, "1 min ago"), (7_200, "2 h ago"), (-120, "in 2 min"),
     (86_400 * 3, "3 d ago"), (86_400 * 100, "3 months ago"), (86_400 * 800, "2 years ago")],
)  # fmt: skip
def test_how_long_ago(seconds: float, told: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == told


def test_numbers_and_sizes() -> None:
    assert number(1_234_567) == "1,234,567" and number(None) == "\N{EN DASH}"
    assert [compact(value) for value in (950, 9_999, 12_400, 3_100_000)] == ["950", "9,999", "12.4k", "3.1M"]
    assert [size(value) for value in (0, 999, 1_500, 24_000_000)] == ["0 B", "999 B", "1.5 kB", "24 MB"]
    assert [percent(share) for share in (0, 0.5, 0.99999, 1)] == ["0%", "50%", "99.9%", "100%"]


@given(st.text(st.characters(codec="utf-8"), max_size=80))
def test_no_character_of_a_text_hides(text: str) -> None:
    for piece in visible(text):
        shown = [char for char in piece.text if char != " "]
        assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs") for char in shown)
    plain = "".join(piece.text for piece in visible(text) if not piece.name)
    assert all(char in text for char in plain)


@given(st.text("abc,;0123", min_size=1, max_size=80))
def test_a_plain_text_is_shown_as_it_is(text: str) -> None:
    assert [(piece.text, piece.name) for piece in visible(text)] == [(text, "")]


def test_spaces_are_seen_where_they_matter() -> None:
    told = [(piece.text, piece.name) for piece in visible(" a b  c ")]
    assert told == [("·", "space"), ("a b ", ""), ("·", "space"), ("c", ""), ("·", "space")]
    assert visible("x" * 5_000)[-1].text == "… 1,000 more"


def test_json_is_indented_and_cut() -> None:
    assert pretty('{"a": 1}').text == '{\n  "a": 1\n}'
    assert pretty("no json").text == "no json"
    cut = pretty({"text": "x" * 20_000})
    assert len(cut.text) + cut.more == len(json.dumps({"text": "x" * 20_000}, indent=2))


def test_an_address_has_only_what_is_given() -> None:
    assert (
        address("/runs", status="FAILED", key="", after=None, dataset="a b&c") == "/runs?status=FAILED&dataset=a+b%26c"
    )


def overview(window: int, *minutes: WorkMinute) -> Overview:
    return Overview(NOW, window, 0, 0, 0, 0, None, None, None, 0, 0, minutes, (), (), ())


def drawn(window: int, place: int, *minutes: WorkMinute) -> Any:
    return json.loads(overview_figures(overview(window, *minutes))[place].data)


@given(st.integers(0, 59), st.integers(1, 1_000_000))
def test_a_bar_stands_where_its_minute_is(minutes_ago: int, rows: int) -> None:
    minute = NOW.replace(second=0) - timedelta(minutes=minutes_ago)
    chart = drawn(3_600, 0, WorkMinute(minute, succeeded=1, rows_committed=rows))
    values = dict(zip(chart["x"], chart["series"][0]["values"], strict=True))
    assert {at: value for at, value in values.items() if value} == {int(minute.timestamp()): rows}
    assert chart["to"] - chart["from"] == 3_600 and len(values) == 60


@pytest.mark.parametrize("window", [3_600, 21_600, 86_400, 604_800])
def test_every_window_has_about_as_many_bars_and_loses_none(window: int) -> None:
    minutes = [
        WorkMinute(NOW.replace(second=0) - timedelta(minutes=n), succeeded=2, failed=1) for n in range(window // 60 - 1)
    ]
    chart = drawn(window, 1, *minutes)
    assert 59 <= len(chart["x"]) <= 61
    assert sum(chart["series"][0]["values"]) >= 2 * len(minutes) - 2 * step_seconds(window) // 60
    assert {b - a for a, b in zip(chart["x"], chart["x"][1:], strict=False)} == {step_seconds(window)}


def test_a_minute_in_which_nothing_succeeded_has_no_duration() -> None:
    chart = drawn(3_600, 2, WorkMinute(NOW.replace(second=0), failed=1))
    assert chart["x"] == []


def test_bars_of_a_timeline_stay_within_it() -> None:
    end = NOW + timedelta(seconds=10)
    visits = [
        StateVisit("whole", "Task", "SUCCEEDED", NOW, end),
        StateVisit("late", "Pass", "SUCCEEDED", end, end),
        StateVisit("open", "Task", "RUNNING", NOW + timedelta(seconds=5)),
    ]
    whole, late, still = bars(visits, NOW, end)
    assert (whole.x, whole.width, whole.seconds) == (0, 1000, 10)
    assert late.x + late.width == 1000 and late.width > 0
    assert (still.x, still.width, still.seconds) == (500, 500, 5)
    assert bars([StateVisit("at once", "Pass", "SUCCEEDED", NOW, NOW)], NOW, NOW)[0].width >= 4
