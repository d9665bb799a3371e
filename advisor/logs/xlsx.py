"""Rows of a spreadsheet, sheet by sheet. Needs the `tables` extra."""

from collections.abc import Iterator
from typing import Any, BinaryIO
from zipfile import BadZipFile

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

BROKEN = (BadZipFile, InvalidFileException, KeyError, ValueError)


def rows(stream: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (1-based row, cells by header) of every sheet; empty rows are passed over."""
    book = load_workbook(stream, read_only=True, data_only=True)
    for sheet in book.worksheets:
        header: list[str] = []
        for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
            if not header:
                header = [str(c) if c is not None else "" for c in cells]
            elif any(c is not None for c in cells):
                yield number, {h: c for h, c in zip(header, cells, strict=False) if h}
