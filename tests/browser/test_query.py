"""The query desk in a browser."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import Page, expect
from support.browsing import Console
from support.waiting import until

pytestmark = pytest.mark.usefixtures("no_complaints")

NUMBERS = "SELECT n, n * 2 AS twice, 'row ' || CAST(n AS varchar) AS text FROM UNNEST(sequence(1, 250)) AS t(n)"
ENDLESS = "SELECT count(*) FROM UNNEST(sequence(1, 100000)) AS a(x) CROSS JOIN UNNEST(sequence(1, 10000000)) AS b(y)"


def ask(page: Page, sql: str) -> None:
    """Put SQL in place of what stands in the editor, and run it."""
    page.get_by_role("textbox", name="SQL").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(sql)
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Enter")


def settle(page: Page) -> None:
    """The editor takes no key for the first 75 ms of a list, so that none is meant for the text before it."""
    begin = page.evaluate("performance.now()")
    until(lambda: page.evaluate("performance.now()") > begin + 100)


def test_a_query_is_typed_with_completion_and_run_by_the_keyboard(full: Console) -> None:
    page = full.open("/query")
    expect(page.locator("#tables")).to_contain_text("processed_orders")
    page.get_by_role("textbox", name="SQL").click()
    page.keyboard.type("SELECT product FROM proc")
    options = page.get_by_role("option")
    expect(options.filter(has_text="processed_orders").first).to_be_visible()
    settle(page)
    page.keyboard.press("Enter")
    page.keyboard.type(" WHERE quan")
    expect(options.filter(has_text="quantity").first).to_contain_text("int")
    settle(page)
    page.keyboard.press("Tab")
    page.keyboard.type(" = 10 ORDER BY product")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#told")).to_contain_text("row")
    sql = parse_qs(urlsplit(page.url).query)["sql"][0]
    assert sql == "SELECT product FROM processed_orders WHERE quantity = 10 ORDER BY product"


def test_a_result_is_paged_and_every_value_is_exact(full: Console) -> None:
    page = full.open("/query")
    ask(page, NUMBERS)
    rows = page.locator("#rows tbody tr")
    expect(rows).to_have_count(100)
    expect(page.locator("#shown")).to_have_text("rows 1 to 100 of 250")
    page.get_by_role("button", name="Later").click()
    expect(rows.first).to_have_text("101202row 101")
    page.get_by_role("button", name="Later").click()
    expect(rows).to_have_count(50)
    expect(page.get_by_role("button", name="Later")).to_be_disabled()
    page.get_by_role("button", name="Earlier").click()
    expect(rows.first).to_have_text("101202row 101")
    ask(page, "SELECT 9007199254740993 AS big, CAST(1.10 AS decimal(5,2)) AS price, NULL AS nothing")
    expect(rows.locator("td")).to_have_text(["9007199254740993", "1.10", "null"])


def test_a_result_is_drawn_as_it_suits(full: Console) -> None:
    page = full.open("/query")
    ask(
        page,
        "SELECT order_date AS day, sum(total_amount) AS revenue FROM processed_orders GROUP BY order_date ORDER BY 1",
    )
    expect(page.locator("#rows tbody tr").first).to_be_visible()
    page.get_by_role("link", name="Chart", exact=True).click()
    expect(page.locator("#chart canvas")).to_be_visible()
    expect(page.locator("#chart-told")).to_contain_text("by day")
    ask(page, "SELECT product, sum(quantity) AS units FROM processed_orders GROUP BY product")
    expect(page.locator("#chart-told")).to_contain_text("by product")
    expect(page.locator("#chart canvas")).to_be_visible()
    ask(page, "SELECT product FROM processed_orders")
    expect(page.locator("#chart-told")).to_contain_text("A chart needs a column of numbers")
    page.get_by_role("link", name="Table", exact=True).click()
    expect(page.locator("#rows")).to_be_visible()


def test_a_result_is_downloaded(full: Console, tmp_path: Path) -> None:
    page = full.open("/query")
    ask(page, "SELECT '=1+1' AS formula, 2 AS number")
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV").click()
    started.value.save_as(tmp_path / "result.csv")
    rows = list(csv.reader(io.StringIO((tmp_path / "result.csv").read_text(encoding="utf-8"))))
    assert rows == [["formula", "number"], ["'=1+1", "2"]]
    with page.expect_download() as started:
        page.get_by_role("link", name="Parquet").click()
    started.value.save_as(tmp_path / "result.parquet")
    assert (tmp_path / "result.parquet").read_bytes()[:4] == b"PAR1"


def test_a_query_is_cancelled_and_another_one_is_answered(full: Console) -> None:
    page = full.open("/query")
    ask(page, ENDLESS)
    expect(page.locator("#told")).to_contain_text("Running for")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#told")).to_have_text("Cancelled.")
    ask(page, "SELECT 42 AS answer")
    expect(page.locator("#rows tbody tr")).to_have_text("42")


def test_a_wrong_query_is_told_with_its_place_and_what_helps(full: Console) -> None:
    page = full.open("/query")
    ask(page, "SELECT nothing\nFROM processed_orders")
    expect(page.get_by_role("alert")).to_contain_text('"nothing" (line 1')
    expect(page.get_by_role("alert")).to_contain_text("customer_id")
    ask(page, "SELECT 1 AS fine")
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#rows tbody tr")).to_have_text("1")


def test_the_address_holds_the_query_and_the_history_brings_it_back(full: Console) -> None:
    page = full.open("/query?sql=" + quote("SELECT 7 AS lucky"))
    expect(page.locator("#rows tbody tr")).to_have_text("7")
    page.get_by_text("History", exact=True).click()
    ask(page, "SELECT 8 AS next")
    expect(page.locator("#rows tbody tr")).to_have_text("8")
    page.locator("#history").get_by_role("button", name="SELECT 7 AS lucky").first.click()
    expect(page.locator("#rows tbody tr")).to_have_text("7")
    expect(page.get_by_role("textbox", name="SQL")).to_have_text("SELECT 7 AS lucky")
    page.go_back()
    expect(page.get_by_role("textbox", name="SQL")).to_have_text("SELECT 8 AS next")


def test_a_saved_query_is_one_click_away(full: Console) -> None:
    page = full.open("/query")
    page.get_by_role("link", name="top_products").click()
    expect(page.locator("#rows thead")).to_contain_text("product")
    expect(page.locator("#rows tbody tr").first).to_be_visible()


def test_a_column_is_put_where_the_cursor_is(full: Console) -> None:
    page = full.open("/query")
    page.locator("#tables").get_by_text("processed_orders").click()
    page.get_by_role("textbox", name="SQL").click()
    page.keyboard.insert_text("SELECT ")
    page.get_by_role("button", name="customer_id string").click()
    page.keyboard.insert_text(" FROM processed_orders")
    expect(page.get_by_role("textbox", name="SQL")).to_have_text("SELECT customer_id FROM processed_orders")
