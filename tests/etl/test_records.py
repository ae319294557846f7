"""The careful reader against Python's csv module and against damage of every kind."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehead.contract import Dialect
from lakehead.etl import records
from lakehead.etl.records import Normalised, RecordReader, normalise, texts_of
from lakehead.etl.source import TextFile

HEADER = ("a", "b", "c")
CELLS = st.text(st.sampled_from(list("xyé日0 ,;\"'\t\n\r\u2028\x1c\ufeff#\\")), max_size=6)


def run(
    data: str, folder: Path, dialect: Dialect | None = None, width: int = 3
) -> tuple[Normalised, list[list[str]], list[tuple[int, str, str]]]:
    """Normalise a file with a header; the clean rows (line first) and the bad ones."""
    dialect = dialect or Dialect()
    source = folder / "source"
    source.write_bytes(data.encode())
    text = TextFile(source, len(data.encode()))
    with text.open_text() as lines:
        header = RecordReader(lines, dialect).next_record()
    found = normalise(text, dialect, header, width, folder)
    with found.clean.open(encoding="utf-8", newline="") as file:
        clean = list(csv.reader(file, delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True))
    with found.bad.open(encoding="utf-8", newline="") as file:
        bad = [(int(line), reason, kept) for line, reason, kept in csv.reader(file)]
    assert found.good == len(clean) and found.records == len(clean) + len(bad)
    return found, clean, bad


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records")


@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=12),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    delimiter=st.sampled_from([",", ";", "\t"]),
    quote=st.sampled_from(['"', "'"]),
    ended=st.booleans(),
)
def test_tables_come_back_exactly(
    folder: Path, rows: list[tuple[str, str, str]], quoting: int, end: str, delimiter: str, quote: str, ended: bool
) -> None:
    # Python's writer leaves a lone CR or LF unquoted where the line end is the other one.
    special = any(letter in cell for row in rows for cell in row for letter in "\r\n")
    out = io.StringIO()
    writer = csv.writer(
        out,
        delimiter=delimiter,
        quotechar=quote,
        quoting=csv.QUOTE_ALL if special else quoting,  # type: ignore[arg-type]
        lineterminator=end,
    )
    writer.writerows([HEADER, *rows])
    text = out.getvalue() if ended else out.getvalue().removesuffix(end)
    found, clean, bad = run(text, folder, Dialect(delimiter, quote))
    # What looks like records within a quoted field is not told apart from records; nothing else is refused.
    assert {reason for _, reason, _ in bad} <= {records.WHOLE_RECORDS}
    refused = [tuple(next(csv.reader([kept], delimiter=delimiter, quotechar=quote))) for _, _, kept in bad]
    assert all(len(kept.splitlines()) > 1 for _, _, kept in bad)
    assert Counter([*(tuple(row[1:]) for row in clean), *refused]) == Counter(rows)
    numbers = [int(row[0]) for row in clean]
    assert numbers == sorted(set(numbers))
    with TextFile(folder / "source", 0).open_text() as lines:
        physical = lines.readlines()
    texts = texts_of(TextFile(folder / "source", 0), iter(numbers), found.spans, lone_cr=True)
    for (line, exact), row in zip(texts, clean, strict=True):
        assert (
            next(csv.reader([exact], delimiter=delimiter, quotechar=quote)) == row[1:] or "\n" in exact or "\r" in exact
        )
        assert physical[line - 1].startswith(exact.splitlines()[0][:1])


@given(
    st.lists(
        st.sampled_from(
            ["1,2,3", '"1",2,3', '1,"a\nb",3', "1,2", "1,2,3,", '1,"2,3', '1,"2"x,3', "", "  ", "a,b,c", '"', '""']
        ),
        max_size=14,
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_nothing_is_lost_whatever_the_lines_are(folder: Path, lines: list[str], end: str) -> None:
    """Header, clean records, bad lines and blank lines, put together by their line numbers, are the file again."""
    text = end.join(["a,b,c", *(line.replace("\n", end) for line in lines)])
    found, clean, bad = run(text, folder)
    source = TextFile(folder / "source", 0)
    kept = dict(texts_of(source, (int(row[0]) for row in clean), found.spans, lone_cr=end == "\r"))
    kept |= {line: exact for line, _, exact in bad}
    rest = text.split(end)
    rebuilt = ["a,b,c"]
    while len(rebuilt) < len(rest):
        exact = kept.pop(len(rebuilt) + 1, "")
        if not exact:
            assert not rest[len(rebuilt)].strip()
            exact = rest[len(rebuilt)]
        rebuilt += exact.split(end)
    assert rebuilt == rest and not kept


@given(
    good=st.integers(1, 30),
    at=st.integers(0, 30),
    damage=st.sampled_from(['5,"open,5', '5,"a"b,5', "5,5", "5,5,5,5", '5,"5']),
)
def test_one_damaged_line_costs_one_line(folder: Path, good: int, at: int, damage: str) -> None:
    lines = [f"{n},x,y" for n in range(good)]
    lines.insert(min(at, good), damage)
    _, clean, bad = run("\n".join(["a,b,c", *lines]) + "\n", folder)
    assert [row[1] for row in clean] == [str(n) for n in range(good)]
    assert [(line, text) for line, _, text in bad] == [(min(at, good) + 2, damage)]


STRAY_IN = [f"{n},name {n},{'x' * n},note" for n in range(100, 108)]


@given(
    strays=st.dictionaries(st.integers(0, 7), st.integers(0, 130), min_size=1),
    quoted=st.sampled_from([(), (1,), (1, 3), (0, 1, 2, 3)]),
)
def test_one_quote_too_many_in_each_of_some_rows_makes_no_row(
    folder: Path, strays: dict[int, int], quoted: tuple[int, ...]
) -> None:
    """No other row comes of it, and none goes without a trace, however the quotes pair up."""
    header = ("a", "b", "c", "d")
    rows = [tuple(line.split(",")) for line in STRAY_IN]
    lines = [",".join(f'"{cell}"' if n in quoted else cell for n, cell in enumerate(row)) for row in rows]
    for number, place in strays.items():
        place %= len(lines[number]) + 1
        lines[number] = lines[number][:place] + '"' + lines[number][place:]
    _, clean, bad = run("\n".join([",".join(header), *lines]) + "\n", folder, width=4)
    kept = [tuple(row[1:]) for row in clean]
    assert set(kept) <= set(rows) and len(kept) == len(set(kept))
    told = "\n".join(text.replace('"', "") for _, _, text in bad)
    assert all(row[0] in told for row in rows if row not in kept)


def test_stray_quotes_are_text_where_the_contract_keeps_them(folder: Path) -> None:
    text = 'a,b,c\n1,6" pipe,3\n2,"x",y"\n'
    _, clean, bad = run(text, folder)
    assert clean == [] and [(line, reason) for line, reason, _ in bad] == [
        (2, records.STRAY_QUOTE),
        (3, records.STRAY_QUOTE),
    ]
    _, clean, bad = run(text, folder, Dialect(stray_quotes=True))
    assert clean == [["2", "1", '6" pipe', "3"], ["3", "2", "x", 'y"']] and bad == []


def test_records_that_a_quoted_field_swallowed_are_told_from_text_of_several_lines(folder: Path) -> None:
    swallowed = '10,"x,y\n11,x",y\n'
    _, clean, bad = run(f'a,b,c\n{swallowed}12,"Street 5\n0150, Oslo",13\n', folder)
    assert [row[1:] for row in clean] == [["12", "Street 5\n0150, Oslo", "13"]]
    assert bad == [(2, records.WHOLE_RECORDS, swallowed.rstrip())]


def test_reading_in_small_pieces_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'a,b,c\n1,"x\ny\nz",3\n1,"open,2\n\n4,5,6\n7,"8\n9",10\n1,2\n'
    whole = run(text, folder)
    monkeypatch.setattr(records, "_READ", 1)
    again = run(text, folder)
    assert again[1:] == whole[1:] and again[0].spans == whole[0].spans == {2: 3, 8: 2}
    assert [line for line, *_ in whole[2]] == [5, 10] and whole[0].blank == 1


def test_open_quotes_cost_no_more_than_two_readings(folder: Path) -> None:
    """Each line opens a quote that only the next opener closes, badly: still every line is parsed at most twice."""
    text = "a,b,c\n" + '1,"x,y\n' * 20_000
    read = 0
    original = RecordReader.next_line

    def counted(reader: RecordReader) -> str:
        nonlocal read
        read += 1
        return original(reader)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecordReader, "next_line", counted)
        _, clean, bad = run(text, folder)
    assert clean == [] and len(bad) == 20_000
    assert read < 50_000


@pytest.mark.parametrize(
    ("text", "lines"),
    [("a,b,c", []), ("\n\na,b,c\n1,2,3", ["4"]), ('"a\nx",b,c\n1,2,3', ["3"]), ("a,b,c\n\n\n1,2,3", ["4"])],
)
def test_lines_are_counted_from_the_start_of_the_file(folder: Path, text: str, lines: list[str]) -> None:
    _, clean, _ = run(text, folder)
    assert [row[0] for row in clean] == lines
