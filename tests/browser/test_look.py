"""How the console looks and is used: themes, keyboard, phone, first load, accessibility."""

from __future__ import annotations

import gzip
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Response, ViewportSize, expect
from support.browsing import Console

pytestmark = pytest.mark.usefixtures("no_complaints")

FIRST_LOAD_BYTES = 200_000
PAGES = (
    "/",
    "/runs",
    "/runs/{succeeded}",
    "/runs/{succeeded}?tab=input",
    "/runs/{succeeded}?tab=logs",
    "/runs/{succeeded}?tab=rows",
    "/runs/{failed}",
    "/datasets",
    "/datasets/sales/orders",
    "/datasets/sales/orders?tab=partitions",
    "/datasets/sales/orders?tab=sample",
    "/datasets/sales/orders?tab=crawls",
    "/datasets/sales/orders?tab=document",
    "/quarantine",
    "/quarantine?dataset=sales/orders&reason=price:%20less%20than%200",
    "/query?sql=SELECT%20product,%20sum(quantity)%20AS%20units%20FROM%20processed_orders%20GROUP%20BY%20product",
    "/notifications",
)
EMPTY_PAGES = (
    "/",
    "/runs",
    "/datasets",
    "/datasets/sales/orders?tab=partitions",
    "/quarantine",
    "/query",
    "/notifications",
)
WIDE: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 800}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def named(console: Console, *paths: str) -> list[str]:
    """The paths with the names of runs that are there."""
    with console.lake.open() as lake:
        names = {status.lower(): lake.runs(status=status, limit=1)[0].name for status in ("SUCCEEDED", "FAILED")}
    return [path.format(**names) for path in paths]


def shown(page: Page, path: str) -> None:
    """Wait for what scripts draw and fetch."""
    if path.startswith("/runs/"):
        page.wait_for_selector("#graph svg g.node")
    if "tab=logs" in path:
        page.wait_for_selector("#logs table")
    if "sql=" in path:
        page.wait_for_selector("#rows table")
    if path == "/query":
        page.wait_for_selector("#editor .cm-content")


def faults(page: Page, theme: str) -> list[tuple[str, Any]]:
    """What axe finds of serious and critical faults. A page's structure is the same in the dark."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if theme == "dark":
        options["runOnly"] = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
    found = Axe().run(page, options=options).response["violations"]
    return [
        (one["id"], [(node["target"], node["failureSummary"]) for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def checked(console: Console, page: Page, path: str) -> None:
    """Open a page, and look at it in the light, in the dark, and on a phone."""
    page.set_viewport_size(WIDE)
    console.go(page, path)
    shown(page, path)
    for theme in THEMES:
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        assert faults(page, theme) == [], f"{path} ({theme})"
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path


def test_every_page_is_accessible_and_fits_a_phone(full: Console) -> None:
    page = full.open("/", bypass_csp=True)
    for path in named(full, *PAGES):
        checked(full, page, path)


def test_the_pages_of_an_empty_lake_are_accessible_and_tell_what_to_do(fresh: Console) -> None:
    page = fresh.open("/", bypass_csp=True)
    expect(page.get_by_role("heading", name="Drop a CSV here")).to_be_visible()
    expect(page.get_by_text("lakehead put FILE.csv")).to_be_visible()
    for path in EMPTY_PAGES:
        checked(fresh, page, path)


def test_a_theme_follows_the_system_until_another_one_is_chosen_and_kept(full: Console) -> None:
    page = full.open("/", color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Switch between light and dark").click()
    light = page.evaluate(background)
    assert light != dark
    full.go(page, "/runs")
    assert page.evaluate(background) == light
    page.keyboard.press("t")
    assert page.evaluate(background) == dark
    page.emulate_media(color_scheme="light")
    assert page.evaluate(background) == light


def test_the_keyboard_goes_everywhere(full: Console) -> None:
    page = full.open("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url("**/runs")
    page.wait_for_selector("#live[data-state=on]", state="attached")
    page.keyboard.press("/")
    expect(page.get_by_label("Object key or run name")).to_be_focused()
    page.keyboard.type("g d ?")
    expect(page.get_by_label("Object key or run name")).to_have_value("g d ?")
    page.get_by_label("Object key or run name").fill("")
    page.get_by_role("heading", name="Runs").click()
    page.keyboard.press("j")
    page.keyboard.press("j")
    rows = page.locator("#runs [data-row]")
    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("k")
    target = rows.nth(0).get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{target}")


def test_a_focused_thing_can_be_seen(full: Console) -> None:
    page = full.open("/runs")
    page.keyboard.press("/")
    style = page.get_by_label("Object key or run name").evaluate("e => getComputedStyle(e).outlineStyle")
    assert style == "solid"


@pytest.mark.parametrize("path", ["/", "/runs", "/runs/{succeeded}", "/datasets/sales/orders", "/quarantine", "/query"])
def test_the_first_load_is_small(full: Console, path: str) -> None:
    page = full.context().new_page()
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))
    (address,) = named(full, path)
    full.go(page, address)
    shown(page, address)
    loaded = [answer for answer in answers if "/live" not in answer.url and "/api/" not in answer.url]
    assert sum(len(gzip.compress(answer.body(), 5)) for answer in loaded) < FIRST_LOAD_BYTES


def test_a_launch_link_opens_the_console_once(full: Console) -> None:
    full.open("/").close()
    stranger = full.browser.new_context()
    full.contexts.append(stranger)
    page = stranger.new_page()
    page.goto(full.link)
    expect(page.get_by_text("This link does not open the console")).to_be_visible()
    page.goto(full.url + "/runs")
    expect(page.get_by_text("lakehead console link")).to_be_visible()
    link = full.lake.run("console", "link").stdout.strip()
    page.goto(link)
    page.wait_for_url(f"{full.url}/")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_what_is_not_there_is_told_with_a_way_back(full: Console) -> None:
    page = full.context().new_page()
    for path in ("/runs/nothing", "/datasets/no/such", "/nowhere", "/runs?status=ODD", "/runs?since=yesterday"):
        answer = page.goto(path)
        assert answer is not None and answer.status in (400, 404), path
        expect(page.get_by_role("main").get_by_role("link", name="Overview")).to_be_visible()


def test_a_page_works_without_a_script(full: Console) -> None:
    page = full.context(java_script_enabled=False).new_page()
    for path in named(full, "/", "/runs?status=FAILED", "/quarantine", "/runs/{failed}"):
        page.goto(path)
        expect(page.get_by_role("main").get_by_role("heading", level=1)).to_be_visible()
