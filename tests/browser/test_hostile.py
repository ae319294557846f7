"""File names, cells, SQL and causes that would run a script if a page believed them."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import Dialog, Page, expect
from support.browsing import Console, ended
from support.waiting import until

pytestmark = pytest.mark.usefixtures("no_complaints")

HEADER = "order_id,customer_id,product,quantity,price,order_date\n"
IMAGE = "<img src=x onerror=alert(1)>"
SCRIPT = "\"'><script>alert(1)</script>"
NAMES = (IMAGE.replace("/", "") + ".csv", "\"'><svg onload=alert(1)>.csv", "{{7*7}}${7*7}.csv")


@pytest.fixture(scope="module")
def hostile(fresh: Console) -> Console:
    """A lake whose files try everything."""
    for place, name in enumerate(NAMES):
        fresh.lake.land_text(name, f'{HEADER}{place},{IMAGE},"{SCRIPT.replace(chr(34), chr(34) * 2)}",1,1,2025-01-01\n')
    fresh.lake.land_text(
        "rows.csv", f"{HEADER}9,C,ok,1,1,2025-01-01\n10,{IMAGE},</td></table>{SCRIPT.replace(chr(34), '')},x,1,1\n"
    )
    fresh.lake.land_text(f"header {NAMES[0]}", f"{IMAGE},b\n1,2\n")
    (fresh.root / "queries" / "hostile.sql").write_text(
        f"-- {IMAGE} {SCRIPT}\nSELECT '{IMAGE}' AS \"{IMAGE}\"", encoding="utf-8"
    )
    until(lambda: ended(fresh).get("SUCCEEDED", 0) == 4 and ended(fresh).get("FAILED", 0) == 1)
    return fresh


def watched(console: Console, path: str) -> Page:
    page = console.open("/")

    def asked(dialog: Dialog) -> None:
        console.complaints.append(f"a script ran: {dialog.message}")
        dialog.dismiss()

    page.on("dialog", asked)
    console.go(page, path)
    return page


def unharmed(page: Page) -> None:
    """Nothing of it became markup."""
    assert page.locator("main img, main script, main [onerror], main [onload]").count() == 0


def test_names_cells_and_causes_are_only_ever_text(hostile: Console, fresh: Console) -> None:
    page = watched(fresh, "/")
    with fresh.lake.open() as lake:
        runs = lake.runs(limit=20)
    paths = [
        "/", "/runs", "/datasets", "/quarantine", "/notifications", "/datasets/sales/orders?tab=sample",
        *(f"/runs/{run.name}?tab=rows" for run in runs),
        f"/runs/{runs[0].name}?tab=logs", f"/runs/{runs[0].name}?tab=input",
        *(f"/quarantine?dataset=sales/orders&key={quote(run.key)}" for run in runs),
    ]  # fmt: skip
    for path in paths:
        fresh.go(page, path)
        unharmed(page)
    fresh.go(page, "/runs")
    for name in NAMES:
        expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
    fresh.go(page, "/quarantine")
    expect(page.get_by_role("region", name="Rows")).to_contain_text(IMAGE)


def test_what_an_address_says_is_only_ever_text(hostile: Console, fresh: Console) -> None:
    page = watched(fresh, "/")
    for text in (SCRIPT, "</textarea></title><svg onload=alert(1)>"):
        for path in ("/runs?key={}", "/quarantine?reason={}&key={}", "/query?sql={}"):
            fresh.go(page, path.format(*[quote(text)] * path.count("{}")))
            unharmed(page)
    for path in ("/runs/{}", "/datasets/{}", "/runs?status={}", "/{}"):
        page.goto(path.format(quote(IMAGE)))
        unharmed(page)
    fresh.complaints[:] = [told for told in fresh.complaints if "the server responded with a status of 4" not in told]


def test_answers_of_queries_are_only_ever_text(hostile: Console, fresh: Console) -> None:
    page = watched(fresh, "/query")
    expect(page.get_by_role("link", name="hostile")).to_contain_text(IMAGE)
    page.get_by_role("link", name="hostile").click()
    expect(page.locator("#rows tbody td")).to_have_text(IMAGE)
    expect(page.locator("#rows thead")).to_contain_text(IMAGE)
    page.get_by_text("History", exact=True).click()
    expect(page.locator("#history")).to_contain_text(IMAGE)
    unharmed(page)
    fresh.go(page, "/query?sql=" + quote(f"SELECT '{SCRIPT.replace(chr(39), chr(39) * 2)}' AS label, 1 AS value"))
    page.get_by_role("link", name="Chart", exact=True).click()
    expect(page.locator("#chart-told")).to_contain_text("value")
    page.locator("#chart .plot").hover()
    unharmed(page)
    fresh.go(page, "/query?sql=" + quote(f'SELECT "{IMAGE}" FROM processed_orders'))
    expect(page.get_by_role("alert")).to_contain_text(IMAGE)
    unharmed(page)


def test_a_script_that_got_in_would_not_run(fresh: Console) -> None:
    page = fresh.open("/")
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);
        const image = '<img src="data:," onerror="window.ran = true" style="color: red">';
        document.body.insertAdjacentHTML("beforeend", image);
    }""")
    until(
        lambda: page.evaluate("window.ran") is None and sum("policy violated" in one for one in fresh.complaints) >= 3
    )
    fresh.complaints.clear()
