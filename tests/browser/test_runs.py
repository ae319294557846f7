"""The list of runs: filters in the address, pages, and what happens while it is looked at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from support.browsing import Console, ended, served
from support.waiting import until

pytestmark = pytest.mark.usefixtures("no_complaints")

HEADER = "order_id,customer_id,product,quantity,price,order_date\n"
MANY = 60


@pytest.fixture(scope="module")
def full(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A lake with more runs than a page holds; every twentieth failed."""
    with served(browser, tmp_path_factory.mktemp("browser") / "lake") as console:
        for n in range(MANY):
            header = HEADER if n % 20 else "a,b\n"
            console.lake.land_text(f"orders-{n:03}.csv", f"{header}{n},C1,Mug,1,2,2025-01-01\n")
        until(lambda: ended(console) == {"SUCCEEDED": 57, "FAILED": 3})
        yield console


def names(page: Page) -> list[str]:
    return page.locator("#runs [data-row]").all_inner_texts()


def test_runs_are_paged_to_the_oldest_and_back(full: Console) -> None:
    page = full.open("/runs")
    seen: list[str] = []
    while True:
        expect(page.locator("#runs [data-row]").first).to_be_visible()
        seen += names(page)
        older = page.get_by_role("link", name="Older")
        if not older.count():
            break
        older.click()
        page.wait_for_url(f"**/runs?after=*-{seen[-1].removesuffix('.csv')}-*")
    assert sorted(seen) == [f"orders-{n:03}.csv" for n in range(MANY)]
    page.get_by_role("link", name="Newest").click()
    expect(page.get_by_role("link", name="Newest")).to_have_count(0)
    assert names(page) == seen[:50]


def test_filters_are_kept_in_the_address(full: Console) -> None:
    page = full.open("/runs")
    page.get_by_role("link", name="Failed 3").click()
    page.wait_for_url("**/runs?status=FAILED")
    expect(page.locator("#runs [data-row]")).to_have_count(3)
    key = "sales/orders/ingest_date=2025-01-01/orders-040.csv"
    page.get_by_label("Object key or run name").fill(key)
    page.get_by_label("Object key or run name").press("Enter")
    expect(page.locator("#runs [data-row]")).to_have_text(["orders-040.csv"])
    assert "status=FAILED" in page.url and "orders-040" in page.url
    page.reload()
    expect(page.locator("#runs [data-row]")).to_have_text(["orders-040.csv"])
    page.get_by_label("Object key or run name").fill("sales/orders/none.csv")
    page.get_by_label("Object key or run name").press("Enter")
    page.get_by_role("link", name="Show all runs").click()
    expect(page.locator("#runs [data-row]")).to_have_count(50)
    page.get_by_label("Dataset").select_option("sales/orders")
    page.wait_for_url("**dataset=sales*")
    page.get_by_label("From (UTC)").fill("2035-01-01T00:00")
    page.get_by_label("From (UTC)").press("Tab")
    expect(page.get_by_role("heading", name="No run fits these filters")).to_be_visible()
    page.go_back()
    page.wait_for_selector("#runs [data-row]")


def test_a_run_is_found_by_its_name(full: Console) -> None:
    with full.lake.open() as lake:
        name = lake.runs(status="FAILED", limit=1)[0].name
    page = full.open(f"/runs?key={name}")
    expect(page.locator("#runs [data-row]")).to_have_count(1)
    expect(page.locator(f"#run-{name}")).to_be_visible()


def test_a_new_run_comes_to_the_top_while_the_keyboard_stays_where_it_is(full: Console) -> None:
    page = full.open("/runs")
    page.keyboard.press("j")
    first = page.locator("#runs [data-row]").first
    name = first.inner_text()
    expect(first).to_be_focused()
    full.lake.land_text("newest.csv", HEADER + "900,C1,Mug,1,2,2025-01-01\n")
    expect(page.locator("#runs [data-row]").first).to_have_text("newest.csv")
    expect(page.locator("#runs tr", has_text="newest.csv").locator(".status")).to_have_text("Succeeded")
    expect(page.get_by_role("link", name=name, exact=True)).to_be_focused()
    expect(page.get_by_role("link", name="Succeeded 58")).to_be_visible()
