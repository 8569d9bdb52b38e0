"""Reading an order export."""

import gzip
from pathlib import Path

import pytest

from freeport.replay.export import ExportError, read_file, read_lines

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
LINE = "536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,2010-12-01 08:26,2.55,17850,United Kingdom"


def test_the_columns_may_come_in_any_order_and_case() -> None:
    [row] = read_lines(
        [
            "country,UNITPRICE,Quantity,StockCode,invoiceno,Invoice Date,Customer ID,Description",
            "France,1.25,3,A1,7,2011-01-01 10:00,9,Mug",
        ]
    )
    assert (row.invoice, row.sku, row.quantity, row.price, row.country) == ("7", "A1", "3", "1.25", "France")


def test_more_columns_than_needed_are_ignored() -> None:
    [row] = read_lines([f"{HEADER},Note", f"{LINE},hello"])
    assert row.country == "United Kingdom"
    assert not row.ragged


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ExportError, match="names no UnitPrice, Country"):
        list(read_lines(["InvoiceNo,StockCode,Description,Quantity,InvoiceDate,CustomerID"]))


def test_an_empty_file_is_no_export() -> None:
    with pytest.raises(ExportError, match="empty"):
        list(read_lines([]))


def test_lines_are_numbered_as_an_editor_numbers_them_even_after_a_field_of_two_lines() -> None:
    rows = list(
        read_lines([HEADER + "\n", '1,A,"a mug\n', 'with a handle",1,2011-01-01,1,2,France\n', "\n", LINE + "\n"])
    )
    assert [row.number for row in rows] == [2, 5]


@pytest.mark.parametrize("line", ["1,A,Mug,1,2011-01-01", f"{LINE},one too many"])
def test_a_line_with_another_number_of_fields_is_read_and_marked(line: str) -> None:
    [row] = read_lines([HEADER, line])
    assert row.ragged


def test_a_gzipped_file_reads_like_a_plain_one(tmp_path: Path) -> None:
    text = f"{HEADER}\n{LINE}\n"
    plain, packed = tmp_path / "export.csv", tmp_path / "export.data"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    assert list(read_file(plain)) == list(read_file(packed))


def test_half_a_gzip_file_is_an_error_and_not_the_end(tmp_path: Path) -> None:
    path = tmp_path / "export.csv.gz"
    path.write_bytes(gzip.compress((f"{HEADER}\n" + f"{LINE}\n" * 1000).encode())[:-20])
    with pytest.raises(ExportError, match="not a whole gzip file"):
        list(read_file(path))


def test_bytes_that_are_no_utf8_become_replacement_characters(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\n".encode() + b"1,A,Voucher \xa340.00,1,2011-01-01,1,2,France\n")
    [row] = read_file(path)
    assert row.description == "Voucher �40.00"
