"""What a data engineer does all day: land files, watch runs, mend and redrive, stop, look into the quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.browsing import Console, ended, served
from support.waiting import until

pytestmark = pytest.mark.usefixtures("no_complaints")

HEADER = "order_id,customer_id,product,quantity,price,order_date\n"


def land(page: Page, *files: Path) -> None:
    page.get_by_label("Files to land").set_input_files(list(files))


def csv(folder: Path, name: str, *rows: str, header: str = HEADER) -> Path:
    path = folder / name
    path.write_text(header + "".join(row + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_file_that_is_dropped_is_followed_to_its_rows_without_a_reload(fresh: Console, tmp_path: Path) -> None:
    page = fresh.open("/")
    page.evaluate("window.kept = true")
    expect(page.get_by_role("heading", name="Drop a CSV here")).to_be_visible()
    land(page, csv(tmp_path, "first.csv", "1,C1,Teapot,2,10.50,2025-01-01", "2,C1,Kettle,x,10,2025-01-01"))
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    loaded = page.locator(".figure", has=page.get_by_text("Rows committed", exact=True)).locator("dd")
    expect(loaded).to_have_text("1")
    expect(page.get_by_role("listitem").filter(has_text="new rows can be queried")).to_be_visible()
    assert page.evaluate("window.kept")

    fresh.go(page, "/query")
    page.get_by_role("textbox", name="SQL").click()
    page.keyboard.insert_text("SELECT product, total_amount FROM processed_orders")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#rows tbody tr")).to_have_text("Teapot21.00")


def test_a_run_is_watched_live_state_by_state(fresh: Console, tmp_path: Path) -> None:
    page = fresh.open("/datasets/sales/orders")
    land(page, csv(tmp_path, "watched.csv", "3,C2,Lamp,1,5,2025-01-02"))
    page.get_by_role("link", name="watch its run").click()
    page.wait_for_url("**/runs/*")
    page.wait_for_selector("#live[data-state=on]", state="attached")
    expect(page.locator(".head .status")).to_have_text("Succeeded")
    expect(page.locator("#graph g.node[data-kind=ok]", has_text="NotifySuccess")).to_be_attached()
    expect(page.locator("#graph figcaption")).to_contain_text("succeeded: Configure, Identify")
    expect(page.get_by_role("row", name="RunJob").first).to_be_visible()
    page.get_by_text("input", exact=True).first.click()
    expect(page.locator("#event-1 .json")).to_contain_text("watched.csv")
    page.get_by_role("link", name="What was loaded").click()
    expect(page.get_by_text("order_date=2025-01-02", exact=True)).to_be_visible()
    page.get_by_role("link", name="Logs").click()
    expect(page.locator("#logs table")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("order_date=2025-01-02", exact=True)).to_be_visible()


def test_files_are_sent_one_after_the_other_and_what_cannot_land_says_why(fresh: Console, tmp_path: Path) -> None:
    page = fresh.open("/datasets/sales/orders")
    odd = tmp_path / "notes.txt"
    odd.write_text("no table", encoding="utf-8")
    files = [csv(tmp_path, f"many-{n}.csv", f"{n},C3,Cup,1,2,2025-01-03") for n in (11, 12)]
    land(page, files[0], odd, files[1])
    items = page.locator(".uploads li")
    expect(items).to_have_count(3)
    expect(items.nth(0)).to_have_attribute("data-state", "landed")
    expect(items.nth(1)).to_have_attribute("data-state", "failed")
    expect(items.nth(1)).to_contain_text(".csv")
    expect(items.nth(2)).to_have_attribute("data-state", "landed")
    assert len(fresh.complaints) == 1 and "400" in fresh.complaints.pop()


def test_a_file_is_dropped_onto_the_page(fresh: Console) -> None:
    page = fresh.open("/datasets/sales/orders")
    data = page.evaluate_handle(
        """(text) => {
            const data = new DataTransfer();
            data.items.add(new File([text], "dropped.csv"));
            return data;
        }""",
        HEADER + "21,C4,Fork,1,3,2025-01-04\n",
    )
    page.dispatch_event("main", "dragenter", {"dataTransfer": data})
    expect(page.locator("body")).to_have_class("dragging")
    page.dispatch_event("main", "drop", {"dataTransfer": data})
    expect(page.locator(".uploads li", has_text="dropped.csv")).to_have_attribute("data-state", "landed")


def test_a_failed_run_is_redriven_once_the_contract_is_mended(fresh: Console, tmp_path: Path) -> None:
    page = fresh.open("/runs")
    fresh.lake.land_text("strict.csv", "order_id,product,quantity,price,order_date\n31,Plate,1,4,2025-01-05\n")
    row = page.get_by_role("row", name="strict.csv")
    expect(row.locator(".status")).to_have_text("Failed")
    row.get_by_role("link", name="strict.csv").click()
    expect(page.get_by_role("alert")).to_contain_text("misses the required column 'customer_id'")
    expect(page.locator("#graph g.node[data-kind=fail]", has_text="RunJob")).to_be_attached()

    contract = fresh.root / "contracts/sales/orders.odcs.yaml"
    whole = contract.read_text(encoding="utf-8")
    begin = whole.index("name: customer_id")
    mended = whole[:begin] + whole[begin:].replace("required: true", "required: false", 1)
    contract.write_text(mended, encoding="utf-8")
    fresh.restart()
    expect(page.locator("#live")).to_have_attribute("data-state", "on")

    failed = page.url
    page.get_by_role("button", name="Redrive").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.locator(".head .status")).to_have_text("Failed")
    page.get_by_role("button", name="Redrive").click()
    page.get_by_role("dialog").get_by_role("button", name="Redrive").click()
    page.wait_for_url(lambda url: "/runs/" in url and url != failed)
    expect(page.locator(".head .status")).to_have_text("Succeeded")
    figure = page.locator(".figure", has=page.get_by_text("Committed", exact=True)).locator("dd")
    expect(figure).to_have_text("1")
    assert any("ERR_" in told or "status of" in told for told in fresh.complaints) or not fresh.complaints
    fresh.complaints.clear()  # the browser tells that the server was away


def test_the_quarantine_is_looked_through_and_replayed(full: Console) -> None:
    page = full.open("/quarantine")
    page.get_by_role("link", name="quantity: not an integer").click()
    rows = page.get_by_role("region", name="Rows").locator("tbody tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("1008,C002,Headset,abc,4200,2025-01-03")
    expect(rows.locator("td").first).to_have_text("4")
    page.get_by_title("Any reason").click()
    expect(rows).to_have_count(5)
    page.get_by_role("region", name="Files").get_by_role("link", name="orders-2025-01-03.csv").click()
    expect(rows).to_have_count(3)
    before = sum(ended(full).values())
    page.get_by_role("button", name="Replay this file").click()
    page.get_by_role("dialog").get_by_role("button", name="Replay").click()
    expect(page.get_by_text("Files are loaded again", exact=False).first).to_be_visible()
    until(lambda: ended(full).get("SUCCEEDED", 0) == 5 and sum(ended(full).values()) == before + 1)
    expect(rows).to_have_count(3)


def test_what_cannot_be_seen_in_a_row_is_marked(full: Console) -> None:
    full.lake.land_text("odd.csv", HEADER + "40,C1,Jug,1,1,2025-01-06\n41,C\u200b1,Te\u202eapot\t,x,1,2025-01-06 \n")
    page = full.open("/quarantine")
    page.get_by_role("region", name="Files").get_by_role("link", name="odd.csv").click()
    text = page.get_by_role("region", name="Rows").locator("td.text")
    for title in ("zero width space, U+200B", "right-to-left override, U+202E", "tab, U+0009"):
        expect(text.get_by_title(title)).to_be_visible()
    expect(text).not_to_contain_text("\u202e")


@pytest.fixture(scope="module")
def slow(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A lake whose runs wait half a minute for their crawl."""
    with served(browser, tmp_path_factory.mktemp("browser") / "lake", settle_seconds=30) as console:
        yield console


def test_a_run_is_stopped(slow: Console) -> None:
    page = slow.open("/runs")
    slow.lake.land_text("long.csv", HEADER + "51,C5,Spoon,1,1,2025-01-07\n")
    row = page.get_by_role("row", name="long.csv")
    expect(row.locator(".status")).to_have_text("Running")
    row.get_by_role("link", name="long.csv").click()
    expect(page.locator("#graph g.node[data-kind=run]").first).to_be_attached()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.locator(".head .status")).to_have_text("Aborted")
    expect(page.get_by_role("button", name="Redrive")).to_be_visible()
    assert slow.close_pages() == []


def test_a_hidden_page_catches_up_when_it_is_seen_again(fresh: Console) -> None:
    page = fresh.open("/runs")
    hide = """(hidden) => { Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
        document.dispatchEvent(new Event("visibilitychange")); }"""
    page.evaluate(hide, True)
    fresh.lake.land_text("unseen.csv", HEADER + "61,C6,Knife,1,1,2025-01-08\n")

    def loaded() -> bool:
        with fresh.lake.open() as lake:
            return any(run.key.endswith("unseen.csv") and run.status == "SUCCEEDED" for run in lake.runs(limit=5))

    until(loaded)
    expect(page.get_by_role("row", name="unseen.csv")).to_have_count(0)
    page.evaluate(hide, False)
    expect(page.get_by_role("row", name="unseen.csv").locator(".status")).to_have_text("Succeeded")


def test_a_browser_that_is_locked_out_is_told(slow: Console) -> None:
    page = slow.open("/runs")
    (slow.root / ".lakehead/dev/console-token").unlink()
    slow.restart()
    expect(page.locator("#live")).to_have_text("Locked out")
    page.reload()
    expect(page.get_by_text("lakehead console link")).to_be_visible()
    slow.complaints.clear()  # the browser tells that the server was away, and then that it is not let in
