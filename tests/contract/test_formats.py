"""Formats in JDK letters: what is written by a format is read by it, and nothing else is."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehead.contract import Contract, datetimes
from lakehead.contract.datetimes import BadFormat, read_format

FUZZ = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DATES = [
    "yyyy-MM-dd",
    "dd/MM/yyyy",
    "d.M.yyyy",
    "M/d/yy",
    "yyyyMMdd",
    "dd-MMM-yyyy",
    "MMM d, yyyy",
    "uuuu.MM.dd",
    "'Day' dd 'o''clock' MM|yy",
]
MOMENTS = [
    "yyyy-MM-dd HH:mm:ss",
    "yyyy-MM-dd'T'HH:mm:ss.SSS",
    "dd/MM/yyyy HH:mm",
    "M/d/yyyy h:mm a",
    "yyyyMMddHHmmss",
    "dd MMM yyyy hh:mm:ss.SSSSSS a",
    "yyyy-MM-dd'T'HH:mm:ssXXX",
    "d.M.yy H:mm:ss xx",
    "yyyy-MM-dd HH:mmX",
]
LETTERS = re.compile(r"'((?:[^']|'')*)'|(([A-Za-z])\3*)|(.)")
Reader = Callable[..., list[Any]]


def written(value: datetime, pattern: str, offset: int = 0) -> set[str]:
    """Every way in which a format may write a moment: single letters with and without a leading zero."""
    local = value + timedelta(minutes=offset)
    sign, hours, minutes = "-" if offset < 0 else "+", abs(offset) // 60, abs(offset) % 60
    numbers = {
        "M": local.month,
        "d": local.day,
        "H": local.hour,
        "h": (local.hour + 11) % 12 + 1,
        "m": local.minute,
        "s": local.second,
    }
    parts: list[set[str]] = []
    for quoted, text, _, other in LETTERS.findall(pattern):
        if not text:
            parts.append({quoted.replace("''", "'") or other or "'"})
        elif text in ("yyyy", "uuuu"):
            parts.append({f"{local.year:04}"})
        elif text == "yy":
            parts.append({f"{local.year % 100:02}"})
        elif text == "MMM":
            parts.append({datetimes.MONTHS[local.month - 1]})
        elif text[0] in numbers:
            number = numbers[text[0]]
            parts.append({f"{number:02}"} if len(text) == 2 else {str(number), f"{number:02}"})
        elif text[0] == "S":
            parts.append({f"{local.microsecond:06}"[: len(text)]})
        elif text == "a":
            half = "AM" if local.hour < 12 else "PM"
            parts.append({half, half.lower()})
        else:
            colon = {"x": "", "xx": f"{minutes:02}", "xxx": f":{minutes:02}"}[text.lower()]
            parts.append({f"{sign}{hours:02}{colon}"} | ({"Z"} if offset == 0 and text[0] == "X" else set()))
    return {"".join(found) for found in itertools.product(*parts)}


def kept(value: datetime, pattern: str) -> datetime:
    """What a format keeps of a moment."""
    digits = pattern.count("S")
    value = value.replace(microsecond=int(f"{value.microsecond:06}"[:digits].ljust(6, "0")))
    value = value if "s" in pattern else value.replace(second=0)
    return value if "m" in pattern else value.replace(hour=0, minute=0)


@pytest.fixture(scope="module")
def reader(make: Callable[..., Contract], judge: Reader) -> Callable[[str, list[str]], list[Any]]:
    contracts: dict[str, Contract] = {}

    def read(pattern: str, texts: list[str]) -> list[Any]:
        kind = "date" if pattern in DATES else "timestamp"
        if pattern not in contracts:
            contracts[pattern] = make({"name": "t", "logicalType": kind, "logicalTypeOptions": {"format": pattern}})
        rows = judge(contracts[pattern], [{"t": text} for text in texts])
        for row in rows:
            assert row.reasons == ([] if row.values["t"] is not None or not texts else [f"t: not a {kind} ({pattern})"])
        return [row.values["t"] for row in rows]

    return read


def years(pattern: str) -> st.SearchStrategy[datetime]:
    short = "yy" in pattern and "yyyy" not in pattern
    first, last = ("2000-01-02", "2099-12-30") if short else ("0001-01-03", "9999-12-29")
    return st.datetimes(datetime.fromisoformat(first), datetime.fromisoformat(last))


@pytest.mark.parametrize("pattern", DATES + MOMENTS)
@FUZZ
@given(st.data())
def test_what_a_format_writes_it_reads(reader: Any, pattern: str, data: st.DataObject) -> None:
    value = data.draw(years(pattern))
    zoned = "X" in pattern or "x" in pattern
    offset = data.draw(st.integers(-18, 18)) * 60 if zoned else 0
    if "xx" in pattern.lower() and abs(offset) < 18 * 60:
        offset += data.draw(st.integers(0, 59)) * (1 if offset >= 0 else -1)
    expected = kept(value + timedelta(minutes=offset), pattern) - timedelta(minutes=offset)
    texts = sorted(written(value, pattern, offset))
    wanted: Any = expected.date() if pattern in DATES else expected
    assert reader(pattern, texts) == [wanted] * len(texts)


@pytest.mark.parametrize("pattern", DATES + MOMENTS)
@FUZZ
@given(st.data())
def test_what_a_format_reads_it_could_have_written(reader: Any, pattern: str, data: st.DataObject) -> None:
    valid = sorted(written(data.draw(years(pattern)), pattern, 0))[0]
    texts = []
    for _ in range(20):
        at = data.draw(st.integers(0, len(valid)))
        cut = data.draw(st.integers(0, 2))
        new = data.draw(st.text("0123456789-/:.TZ +aAPMJanFb", max_size=2))
        texts.append(valid[:at] + new + valid[at + cut :])
    texts = [text for text in texts if text.strip()]
    if not texts:
        return
    for text, value in zip(texts, reader(pattern, texts), strict=True):
        if value is not None:
            text = text.strip()
            ending = re.search("([+-])([0-9]{2}):?([0-9]{2})?$", text) if "x" in pattern.lower() else None
            offset = (int(ending[2]) * 60 + int(ending[3] or 0)) * int(f"{ending[1]}1") if ending else 0
            if ending and offset == 0:
                text = text[: ending.start()] + text[ending.start() :].replace("-", "+")
            assert text in written(
                datetime.combine(value, value.time() if pattern in MOMENTS else time()), pattern, offset
            )


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("dd/MM/yyyy", "30/02/2025", None),
        ("dd/MM/yyyy", "29/02/2024", date(2024, 2, 29)),
        ("d.M.yyyy", "1.2.2025", date(2025, 2, 1)),
        ("M/d/yy", "12/31/69", date(2069, 12, 31)),
        ("MMM d, yyyy", "feb 3, 2025", None),
        ("yyyy-MM-dd HH:mm:ss", "2025-01-01 24:00:00", None),
        ("yyyy-MM-dd HH:mm:ss", "2025-01-01 23:59:60", None),
        ("yyyy-MM-dd HH:mm:ss", "2025-01-01 10:00:00.5", None),
        ("yyyy-MM-dd HH:mm:ss", "2025-01-01T10:00:00", None),
        ("M/d/yyyy h:mm a", "1/2/2025 12:00 AM", "2025-01-02 00:00"),
        ("M/d/yyyy h:mm a", "1/2/2025 12:30 pm", "2025-01-02 12:30"),
        ("yyyy-MM-dd'T'HH:mm:ssXXX", "2025-01-01T00:30:00+02:00", "2024-12-31 22:30"),
        ("yyyy-MM-dd'T'HH:mm:ssXXX", "0001-01-01T00:30:00+02:00", None),
    ],
)
def test_known_cases(reader: Any, pattern: str, text: str, expected: Any) -> None:
    wanted = datetime.fromisoformat(expected) if isinstance(expected, str) else expected
    assert reader(pattern, [text]) == [wanted]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("YYYY-MM-dd", "did you mean yyyy"),
        ("yyyy-MM-DD", "did you mean dd"),
        ("yyyy-MM-dd HH:mm:ss Z", "did you mean xx"),
        ("yyyy-mm-dd", "no month"),
        ("yyyy-MM-dd hh:mm", "need each other"),
        ("yyyy-MM-dd HH:mm a", "does not go with"),
        ("yyyy-MM-dd HH", "hours and minutes need each other"),
        ("yyyy-MM-dd HH:mm.SSS", "S needs s"),
        ("yyyyMd", "needs punctuation behind it"),
        ("yyyy-M-d'1'", "needs punctuation behind it"),
        ("yyyy-MM-dd[ HH:mm]", "not supported"),
        ("yyyy-MM-dd dd", "occurs twice"),
        ("EEE yyyy-MM-dd", "EEE is not supported"),
        ("yyyy-MM-dd'T", "not supported"),
        ("yyyy-MM-dd HH:mm:ss.SSSSSSSSS", "not supported"),
        ("yyyy-MM-ddXXX HH:mm", "only read at the end"),
        ("", "no year"),
    ],
)
def test_formats_that_cannot_be_read_exactly_are_refused(pattern: str, words: str) -> None:
    with pytest.raises(BadFormat, match=words):
        read_format(pattern)


@settings(deadline=None, max_examples=300)
@given(st.text("yuMdHhmsSaXxEZ'-/:., T[]{}#\\^$|?*+()é1", max_size=16))
def test_any_format_is_read_or_refused(pattern: str) -> None:
    try:
        found = read_format(pattern)
    except BadFormat:
        return
    assert re.fullmatch(found.grammar, next(iter(written(datetime(2025, 11, 22, 13, 45, 59, tzinfo=UTC), pattern))))
