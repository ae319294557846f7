"""Makes Spark's Parquet files the same bytes in every process.

Parquet's Java writer lists the encodings of a column chunk in the order of a hash set, which changes from one process
to the next. Nothing depends on that order, so the list is sorted where it stands in the footer, and a file that is
written again has the same bytes, and so the same name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_BOOLEANS, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _MAP, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 11, 12
_ROW_GROUPS, _COLUMNS, _META_DATA, _ENCODINGS = 4, 1, 3, 2
"""Fields of FileMetaData, RowGroup, ColumnChunk and ColumnMetaData (parquet.thrift)."""


def sort_encodings(path: Path) -> None:
    """Sort the encodings of every column chunk of a Parquet file, in place."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(size - 8)
        length = int.from_bytes(file.read(4), "little")
        start = size - 8 - length
        file.seek(start)
        footer = bytearray(file.read(length))
        before = bytes(footer)
        _sort(_Compact(footer))
        if footer != before:
            file.seek(start)
            file.write(footer)


def _sort(reader: _Compact) -> None:
    for _ in reader.inside(_ROW_GROUPS):
        for _ in reader.elements():
            for _ in reader.inside(_COLUMNS):
                for _ in reader.elements():
                    for _ in reader.inside(_META_DATA):
                        for _ in reader.inside(_ENCODINGS):
                            reader.sort_list()


class _Compact:
    """Walks over Thrift's compact protocol (Apache Thrift, "Thrift Compact protocol encoding")."""

    def __init__(self, data: bytearray) -> None:
        self.data, self.at = data, 0

    def inside(self, wanted: int) -> Iterator[None]:
        """Stop at the field of this id of the struct that begins here, for the caller to read it; pass over others."""
        field = 0
        while header := self._byte():
            delta, kind = header >> 4, header & 0x0F
            field = field + delta if delta else self._signed()
            if field == wanted:
                yield
            else:
                self._skip(kind)

    def elements(self) -> Iterator[None]:
        """Stop at each element of the list that begins here."""
        size, _ = self._list()
        for _ in range(size):
            yield

    def sort_list(self) -> None:
        """Sort a list of small numbers, each one byte long."""
        size, _ = self._list()
        self.data[self.at : self.at + size] = sorted(self.data[self.at : self.at + size])
        self.at += size

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def _signed(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _list(self) -> tuple[int, int]:
        header = self._byte()
        size = header >> 4
        return (self._varint() if size == 15 else size), header & 0x0F

    def _skip(self, kind: int) -> None:
        if kind in _INTEGERS:
            self._varint()
        elif kind == _BYTE:
            self.at += 1
        elif kind == _DOUBLE:
            self.at += 8
        elif kind == _BINARY:
            length = self._varint()
            self.at += length
        elif kind in _LISTS:
            size, inner = self._list()
            for _ in range(size):
                self._skip_element(inner)
        elif kind == _STRUCT:
            for _ in self.inside(-1):
                raise AssertionError("no field has this id")
        elif kind == _MAP:
            raise ValueError("a Parquet footer holds no map")
        elif kind not in _BOOLEANS:
            raise ValueError(f"no type of the compact protocol: {kind}")

    def _skip_element(self, kind: int) -> None:
        """A boolean is a byte in a list, and nothing in a struct, where its type tells it."""
        if kind in _BOOLEANS:
            self.at += 1
        else:
            self._skip(kind)
