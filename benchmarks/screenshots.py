"""`make screenshots`: a shop's lake after a busy hour, and the pictures of its console that the README shows."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from lakehead.config import load_config
from lakehead.examples import write_example
from lakehead.lake import Lake
from lakehead.model import utc_now

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
HEADER = "order_id,customer_id,product,quantity,price,order_date"
PRODUCTS = {
    "Laptop": 75000, "Monitor": 18999.5, "Docking station": 9999, "Phone": 42000, "Tablet": 28500, "Webcam": 3250.25,
    "Headset": 4200, "Keyboard": 1500, "Mouse": 500, "Desk lamp": 1250,
}  # fmt: skip
SHOPS = ("berlin", "hamburg", "munich", "online", "vienna", "zurich")
MINUTES = 58
FIRST_DAY = date(2025, 1, 1)
LIMIT_BYTES = 200_000
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
QUESTION = """-- What did each day bring in?
SELECT order_date AS day,
       sum(total_amount) AS revenue
FROM processed_orders
GROUP BY order_date
ORDER BY day"""


def main() -> int:
    executable = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if executable is None:
        print("chromium is not installed: apt-get install chromium", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "lake"
        write_example("sales", root)
        fill(root)
        with served(root) as link:
            take(link, executable, newest_run(root))
    return 0


def fill(root: Path) -> None:
    """An hour of files that landed minute by minute: the lake's clock is set back for each of them."""
    chance = random.Random(7)
    number, day = 1000, FIRST_DAY
    with Lake.open(load_config(root, env="dev")) as lake:
        for minute in range(MINUTES, -1, -1):
            lag = timedelta(minutes=minute)
            lake.journal.clock = lambda lag=lag: utc_now() - lag
            files = []
            for shop in chance.sample(SHOPS, chance.choice((0, 1, 1, 2, 3, 4))):
                files.append(write_file(root, shop, day, number, chance))
                number += 1000
                day = FIRST_DAY + timedelta(days=(day - FIRST_DAY).days + chance.choice((0, 0, 1, 1)))
            if files:
                lake.put(files, ingest_date=utc_now().date())
                lake.ingest()


def write_file(root: Path, shop: str, day: date, number: int, chance: random.Random) -> Path:
    """What a shop sold on a day; now and then with what shops get wrong, and seldom with another header."""
    path = root / f"orders-{day}-{shop}-{number // 1000}.csv"
    season = 1 + 0.5 * ((day - FIRST_DAY).days % 7 in (4, 5)) + (day - FIRST_DAY).days / 90
    rows = [row(number + at, day, chance) for at in range(int(chance.randint(120, 520) * season))]
    header = HEADER if chance.random() > 0.05 else HEADER.replace("customer_id", "customer")
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def row(number: int, day: date, chance: random.Random) -> str:
    product = chance.choices(list(PRODUCTS), weights=[2, 3, 3, 2, 2, 4, 5, 8, 9, 6])[0]
    customer, quantity, price, when = f"C{chance.randint(1, 400):03}", chance.randint(1, 3), PRODUCTS[product], day
    wrong = chance.random()
    if wrong < 0.03:
        customer = ""
    elif wrong < 0.042:
        return f"{number},{customer},{product},many,{price},{when}"
    elif wrong < 0.05:
        price = -price
    elif wrong < 0.056:
        return f"{number},{customer},{product},{quantity}"
    return f"{number},{customer},{product},{quantity},{price},{when}"


def newest_run(root: Path) -> str:
    """The newest run that quarantined something."""
    with Lake.open(load_config(root, env="dev")) as lake:
        return next(run.name for run in lake.runs(status="SUCCEEDED") if run.rows_quarantined)


@contextmanager
def served(root: Path) -> Iterator[str]:
    """`lakehead up` on the lake; its launch link."""
    command = [sys.executable, "-m", "lakehead", "--lake", str(root), "up"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as up:
        assert up.stderr is not None
        try:
            yield next(found[1] for line in up.stderr if (found := re.search(r"(http://\S+/launch\S+)", line)))
        finally:
            up.terminate()


def take(link: str, executable: str, run: str) -> None:
    from playwright.sync_api import sync_playwright

    site = link.split("/launch")[0]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        opened = browser.new_context()
        page = opened.new_page()
        page.goto(link)
        page.wait_for_url(f"{site}/")
        cookie = opened.storage_state()
        for name, path, theme, height in (
            ("console-overview", "/", "light", 940),
            ("console-run", f"/runs/{run}", "dark", 940),
            ("console-query", f"/query?sql={quote(QUESTION)}", "light", 940),
        ):
            context = browser.new_context(
                storage_state=cookie, color_scheme=theme, viewport={"width": 1400, "height": height}
            )  # type: ignore[arg-type]
            picture(context, site + path, IMAGES / f"{name}.png")
            context.close()
        browser.close()


def picture(context: BrowserContext, url: str, target: Path) -> None:
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("#live[data-state=on]", state="attached")
    if "/query" in url:
        page.get_by_role("link", name="Chart", exact=True).click()
        page.wait_for_selector("#chart canvas")
    if "/runs/" in url:
        page.wait_for_selector("#graph svg")
        page.get_by_role("button", name="Show all of it").click()
        for _ in range(2):
            page.get_by_role("button", name="Zoom in").click()
    if url.endswith("/"):
        page.wait_for_selector("#chart-rows canvas")
    page.mouse.move(0, 0)
    page.screenshot(path=str(target), animations="disabled")
    size = target.stat().st_size
    print(f"{target.name}: {size:,} bytes")
    assert size < LIMIT_BYTES, f"{target} is too large for the README"


if __name__ == "__main__":
    sys.exit(main())
