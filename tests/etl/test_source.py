"""From landed bytes to text: archives, encodings, what is no text at all, and the scan of what is."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehead.contract import Contract, Dialect
from lakehead.errors import BinaryContent, CorruptArchive, TooLarge, UndecodableText
from lakehead.etl import archive
from lakehead.etl import scan as scanning
from lakehead.etl.place import Place
from lakehead.etl.scan import Scan, scan
from lakehead.etl.source import TextFile, open_source, position
from lakehead.model import ObjectVersion

HEADER = "order_id,customer_id,product,quantity,price,order_date"
TEXT = f"{HEADER}\n1,CA,café,1,1.00,2025-01-01\n2,CB,日本,2,2.00,2025-01-01\n"
ROWS = [(1, "café"), (2, "日本")]
GZ = "sales/orders/orders.csv.gz"
PLACE = Place("sales/orders", ObjectVersion("raw", "sales/orders/orders.csv"))


def names(loaded: Any) -> list[tuple[int, str]]:
    return [(row[1], row[3]) for row in loaded.rows]


@pytest.fixture
def encoded(make_contract: Callable[..., Contract], orders: Contract) -> Callable[[str], Contract]:
    def make(encoding: str) -> Contract:
        properties: list[dict[str, Any]] = [
            {"name": "order_id", "logicalType": "integer", "physicalType": "bigint", "required": True},
            {"name": "product", "logicalType": "string"},
            {"name": "order_date", "logicalType": "date", "partitioned": True, "required": True},
        ]
        return make_contract(*properties, csvEncoding=encoding)

    return make


def test_utf8_with_and_without_a_byte_order_mark(load: Callable[..., Any]) -> None:
    assert names(load(TEXT)) == ROWS
    marked = load("\ufeff" + TEXT)
    assert names(marked) == ROWS and marked.result.warnings == ()
    assert names(load("\ufeff" + TEXT.replace("order_id", '"order_id"'))) == ROWS


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_by_contract_and_by_its_mark(
    load: Callable[..., Any], encoded: Callable[[str], Contract], encoding: str
) -> None:
    data = (TEXT if encoding == "utf-16" else "\ufeff" + TEXT).encode(encoding)
    loaded = load(data, encoded("utf-16"))
    assert [row[2] for row in loaded.rows] == ["café", "日本"]
    guessed = load(data)
    assert names(guessed) == ROWS
    assert guessed.result.warnings == ("the file's byte order mark says UTF-16 and the contract utf-8; read as UTF-16",)


@pytest.mark.parametrize(("encoding", "word"), [("latin-1", "café ÿþ"), ("cp1252", "café € “x”")])
def test_single_byte_encodings_by_contract(
    load: Callable[..., Any], encoded: Callable[[str], Contract], encoding: str, word: str
) -> None:
    text = f"order_id,product,order_date\n1,{word},2025-01-01\nx,{word},2025-01-01\n"
    loaded = load(text.encode(encoding), encoded(encoding))
    assert loaded.rows == [("order_date=2025-01-01", 1, word)]
    assert loaded.quarantine == [(3, f"x,{word},2025-01-01", ["order_id: not an integer"])]


def test_a_utf8_mark_wins_over_the_contract(load: Callable[..., Any], encoded: Callable[[str], Contract]) -> None:
    loaded = load("\ufefforder_id,product,order_date\n1,é,2025-01-01\n", encoded("latin-1"))
    assert loaded.rows == [("order_date=2025-01-01", 1, "é")]
    assert loaded.result.warnings == ("the file's byte order mark says UTF-8 and the contract latin-1; read as UTF-8",)


@pytest.mark.parametrize(
    ("encoding", "data", "line", "column"),
    [
        ("utf-8", b"order_id,product,order_date\n1,caf\xe9,2025-01-01\n", 2, 6),
        ("utf-8", "order_id,product,order_date\r\n1,日本".encode() + b"\xff", 2, 5),
        ("utf-8", b"order_id\xff", 1, 9),
        ("utf-8", b"a\n" * 700_000 + b"b\xe2\x82", 700_001, 2),
        ("utf-8", b"a" * ((1 << 20) - 1) + b"\xe2\x28", 1, 1 << 20),
        ("cp1252", b"order_id,product,order_date\n1,x\x81,2025-01-01\n", 2, 4),
        ("utf-16", "\ufefforder_id\n1".encode("utf-16-le") + b"\x00\xd8x\x00", 2, 2),
        ("utf-16", "\ufefforder_id\n1".encode("utf-16-le") + b"\x31", 2, 2),
        ("utf-16", b"order_id", 1, 1),
    ],
)
def test_undecodable_bytes_name_their_place(
    load: Callable[..., Any], encoded: Callable[[str], Contract], encoding: str, data: bytes, line: int, column: int
) -> None:
    with pytest.raises(UndecodableText) as caught:
        load(data, encoded(encoding))
    assert (caught.value.where["line"], caught.value.where["column"]) == (line, column)
    assert "csvEncoding" in caught.value.hint and caught.value.where["received"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (f"{HEADER}\n1,CA,a\0b,1,1.00,2025-01-01\n".encode(), "line 2 holds a NUL byte"),
        (TEXT.encode("utf-16-le"), "looks like UTF-16 without a byte order mark"),
        (b"PK\x03\x04rest", "a zip archive or an Excel workbook"),
        (b"PAR1rest", "a Parquet file"),
        (gzip.compress(TEXT.encode()), "Give it a name that ends with .csv.gz"),
        (b"%PDF-1.7", "a PDF document"),
    ],
)
def test_binary_content_is_told(load: Callable[..., Any], data: bytes, words: str) -> None:
    with pytest.raises(BinaryContent) as caught:
        load(data)
    assert words in str(caught.value)


def test_gzip_files(load: Callable[..., Any]) -> None:
    plain = load(TEXT)
    for data in (
        gzip.compress(TEXT.encode()),
        gzip.compress(TEXT.encode()[:30]) + gzip.compress(TEXT.encode()[30:]),
        gzip.compress("\ufeff".encode() + TEXT.encode()),
        gzip.compress(TEXT.encode("utf-16")),
    ):
        loaded = load(data, key=GZ)
        assert loaded.rows == plain.rows
    assert load(gzip.compress(b""), key=GZ).counts == (0, 0, 0)


def test_damaged_gzip_files_are_refused(load: Callable[..., Any]) -> None:
    text = HEADER + "\n" + "".join(f"{n},C,{random.Random(n).random()},1,1,2025-01-01\n" for n in range(2000))
    packed = gzip.compress(text.encode())
    assert load(packed, key=GZ).counts == (2000, 2000, 0)
    wrong_crc = packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]
    flipped = packed[:5000] + bytes([packed[5000] ^ 64]) + packed[5001:]
    for data, words in (
        (packed[:-1], "truncated"),
        (packed[: len(packed) // 2], "truncated"),
        (packed[:5], "truncated"),
        (wrong_crc, "incorrect data check"),
        (flipped, "cannot be expanded"),
        (packed + b"garbage", "cannot be expanded"),
        (text.encode(), "cannot be expanded"),
        (b"", "truncated"),
    ):
        with pytest.raises(CorruptArchive, match=words) as caught:
            load(data, key=GZ)
        assert caught.value.hint == "Upload it again."


@given(cut=st.integers(0, 200), flip=st.integers(0, 1599))
def test_no_damage_to_a_gzip_file_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int) -> None:
    whole = TEXT.encode()
    packed = bytearray(gzip.compress(whole, mtime=0))
    packed[(flip // 8) % len(packed)] ^= 1 << flip % 8
    folder = tmp_path_factory.mktemp("gz")
    (folder / "f").write_bytes(bytes(packed[: len(packed) - cut]))
    place = Place("d", ObjectVersion("raw", "f.csv.gz"))
    try:
        text = open_source(folder / "f", Dialect(), place, folder)
    except (CorruptArchive, TooLarge):
        return
    assert text.path.read_bytes() == whole, "bits of the header that mean nothing may change, the text may not"


def test_a_gzip_bomb_is_stopped(load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "RATIO_WINDOW", 4 << 20)
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(b"0" * (40 << 20)) + packer.flush()
    with pytest.raises(TooLarge, match="expands to more than") as caught:
        load(bomb, key=GZ)
    assert "250 times" in caught.value.where["expected"]
    monkeypatch.setattr(archive, "MAX_EXPANDED_BYTES", 100)
    with pytest.raises(TooLarge):
        load(gzip.compress(random.Random(1).randbytes(200).hex().encode()), key=GZ)


def look(data: bytes, tmp_path: Path, dialect: Dialect | None = None) -> Scan:
    path = tmp_path / "f"
    path.write_bytes(data)
    return scan(TextFile(path, len(data)), dialect or Dialect(), PLACE)


@pytest.mark.parametrize(
    ("data", "lines", "plain"),
    [
        (b"", 0, True),
        (b"a,b", 1, True),
        (b"a,b\n1,2\n", 2, True),
        (b"a,b\r\n1,2\r\n3,4", 3, True),
        (b"a,b\n1,2\r\n", 2, False),
        (b"a,b\r1,2\n", 1, False),
        (b"a,b\r1,2\r", 1, False),
        (b'a,b\n"1",2\n', 2, False),
        (b"a,b\n1,2\na,b\n", 3, False),
        (b"a,b\n1,2\na,b", 3, False),
    ],
)
def test_the_scan_tells_plain_files(tmp_path: Path, data: bytes, lines: int, plain: bool) -> None:
    found = look(data, tmp_path)
    assert (found.lines, found.plain) == (lines, plain)
    assert found.delimiters == data.count(b",")


@given(
    st.lists(st.sampled_from(["a", "é", "日", ",", '"', "\n", "\r\n", "\r", "xyz"]), max_size=60), st.integers(1, 40)
)
def test_chunks_do_not_matter_to_the_scan(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], chunk: int
) -> None:
    data = "".join(parts).encode()
    folder = tmp_path_factory.mktemp("scan")
    with pytest.MonkeyPatch.context() as patch:
        whole = look(data, folder)
        patch.setattr(scanning, "CHUNK", chunk)
        assert look(data, folder) == whole


def test_the_scan_tells_overlong_lines(tmp_path: Path) -> None:
    limit = scanning.MAX_RECORD
    assert look(b"a,b\n" + b"x" * (limit - 2) + b"\n1,2\n", tmp_path).plain
    for data in (b"a,b\n" + b"x" * (limit + 1) + b"\n1,2\n", b"x" * (limit + 5), b"a\rb\n" + b"x" * (3 * limit)):
        assert not look(data, tmp_path).plain
    with pytest.raises(TooLarge) as caught:
        look(b"a,b\n1,2\n" + b"x" * (scanning.MAX_LINE + 1), tmp_path)
    assert caught.value.where["line"] == 3


def test_positions_count_every_kind_of_line_end(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes("a\r\nb\rc\né日x".encode())
    assert position(path, "utf-8", 0, 7) == (4, 1)
    assert position(path, "utf-8", 0, 12) == (4, 3)
