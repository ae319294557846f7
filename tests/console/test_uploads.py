"""Files that are sent: whole or not at all, bounded, and loaded at once."""

from __future__ import annotations

import gzip
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from support.consoles import API, Site, served_lake
from support.waiting import until

from lakehead.console import uploads
from lakehead.model import utc_now

HEADER = "order_id,customer_id,product,quantity,price,order_date\n"
FILES = f"{API}/datasets/sales/orders/files"
RAW = "data/sales-datalake-raw-dev"


def order(number: int) -> bytes:
    return f"{HEADER}{number},C1,Thing,1,2.50,2025-01-02\n".encode()


def landed(root: Path) -> set[str]:
    """What lies in the raw zone, also what no listing shows. os.walk bears with folders that go away meanwhile."""
    raw = root / RAW
    found = {Path(folder, name).relative_to(raw).as_posix() for folder, _, names in os.walk(raw) for name in names}
    return {name for name in found if not name.startswith(".lakehead/locks/")}


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Site]:
    """A console without `up`: what is sent stays as it landed."""
    with served_lake(tmp_path / "lake", working=False, upload_bytes=100_000) as found:
        yield found


def test_a_file_that_is_sent_is_loaded_and_its_run_is_told(site: Site, browser: httpx.Client) -> None:
    answer = browser.put(f"{FILES}/sent.csv", content=order(70_001), params={"ingest_date": "2025-01-02"})
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert told["key"] == "sales/orders/ingest_date=2025-01-02/sent.csv" and told["new"]
    assert told["size"] == len(order(70_001))
    run = until(lambda: (run := site.lake.journal.find(told["execution"])) and not run.running and run)
    assert run.status == "SUCCEEDED"
    assert site.lake.store.get(told["bucket"], told["key"]) == order(70_001)
    assert site.lake.store.head(told["bucket"], told["key"]).etag == told["etag"]
    assert list(site.lake.query("SELECT product FROM processed_orders WHERE order_id = 70001").rows) == [("Thing",)]

    again = browser.put(f"{FILES}/sent.csv", content=order(70_001), params={"ingest_date": "2025-01-02"}).json()
    assert again["execution"] == told["execution"] and not again["new"]
    other = browser.put(f"{FILES}/sent.csv", content=order(70_002), params={"ingest_date": "2025-01-02"}).json()
    assert other["execution"] != told["execution"] and other["new"]


def test_gzip_without_a_length_lands_today(site: Site, program: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        packed = gzip.compress(order(70_010))
        yield from (packed[at : at + 7] for at in range(0, len(packed), 7))

    told = program.put(f"{FILES}/chunked.csv.gz", content=chunks()).json()
    assert told["key"] == f"sales/orders/ingest_date={utc_now().date()}/chunked.csv.gz"
    run = until(lambda: (run := site.lake.journal.find(told["execution"])) and not run.running and run)
    assert run.status == "SUCCEEDED"


@pytest.mark.parametrize(
    "name",
    [
        "a.txt", "a.csv.zip", "a.CSV", ".a.csv", "_a.csv", "..csv\\..\\a.csv", "a\\b.csv", "a\0.csv", "a\n.csv",
        "a\r\nX-Evil: 1.csv", "a\u202e.csv", "\x7f.csv", "n" * 252 + ".csv", "é" * 130 + ".csv", ".csv", "",
    ],
)  # fmt: skip
def test_a_name_that_no_lake_loads_is_refused(quiet: Site, name: str) -> None:
    answer = quiet.program().put(f"{FILES}/{quote(name, safe='')}", content=order(1))
    assert answer.status_code in (400, 404, 405), (name, answer.text)
    assert landed(quiet.root) == set()


@pytest.mark.parametrize("name", ["../up.csv", "a/b.csv", "/etc/a.csv", "../../../../lakehead.csv"])
def test_a_name_leads_out_of_no_folder(quiet: Site, name: str) -> None:
    for spelt in (quote(name, safe=""), quote(name, safe="/")):
        answer = quiet.program().put(f"{FILES}/{spelt}", content=order(1))
        assert answer.status_code in (400, 404, 405)
    assert landed(quiet.root) == set()
    assert not list(quiet.root.parent.rglob("up.csv"))


def test_a_name_that_is_odd_but_fine_lands(quiet: Site) -> None:
    for name in ("Bestellungen März.csv", "a b%c+d&e=f.csv", "a..b.csv", "-rf.csv", "'\"<x>.csv"):
        told = quiet.program().put(f"{FILES}/{quote(name, safe='')}?ingest_date=2025-01-02", content=order(1))
        assert told.status_code == 201 and told.json()["key"].endswith(f"/{name}"), told.text


def test_an_unknown_dataset_is_refused(quiet: Site) -> None:
    for dataset in ("no/such", "../other", "sales/orders/ingest_date=2025-01-01", ""):
        answer = quiet.program().put(f"{API}/datasets/{quote(dataset)}/files/a.csv", content=order(1))
        assert answer.status_code == 404, answer.text
    assert landed(quiet.root) == set()


def test_a_file_that_is_too_large_is_refused_by_its_stated_and_by_its_true_size(quiet: Site) -> None:
    program = quiet.program()
    exact = program.put(f"{FILES}/exact.csv", content=b"x" * 100_000)
    assert exact.status_code == 201
    (before,) = landed(quiet.root)

    def more() -> Iterator[bytes]:
        yield from (b"x" * 10_001 for _ in range(10))

    for content in (b"x" * 100_001, more()):
        answer = program.put(f"{FILES}/large.csv", content=content)
        assert answer.status_code == 413 and answer.json()["error"]["type"] == "TooLarge"
    assert landed(quiet.root) == {before}


def test_a_packed_body_is_refused(quiet: Site) -> None:
    answer = quiet.program().put(f"{FILES}/a.csv", content=b"x", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415 and landed(quiet.root) == set()


def test_a_sender_that_goes_away_leaves_nothing(quiet: Site) -> None:
    with connection(quiet, "gone.csv", length=50_000) as sender:
        sender.sendall(order(1))
        until(lambda: landed(quiet.root))
        assert all(name.startswith(".lakehead/staging/") for name in landed(quiet.root))
    until(lambda: not landed(quiet.root))
    assert quiet.lake.events.counts()["pending"] == 0


def test_nothing_is_visible_before_all_of_it_was_sent(quiet: Site) -> None:
    with connection(quiet, "slow.csv", length=len(order(1))) as sender:
        sender.sendall(order(1)[:-1])
        until(lambda: landed(quiet.root))
        assert list(quiet.lake.store.list(quiet.lake.config.raw_bucket)) == []
        sender.sendall(order(1)[-1:])
        assert sender.recv(100).startswith(b"HTTP/1.1 201")
    assert [one.key.rpartition("/")[2] for one in quiet.lake.store.list(quiet.lake.config.raw_bucket)] == ["slow.csv"]


def test_a_sender_that_sends_nothing_is_not_waited_for(quiet: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "IDLE_SECONDS", 0.2)
    with connection(quiet, "idle.csv", length=50_000) as sender:
        sender.sendall(order(1))
        assert sender.recv(100).startswith(b"HTTP/1.1 408")
    until(lambda: not landed(quiet.root))


def test_no_more_than_a_few_at_a_time(quiet: Site) -> None:
    senders = [connection(quiet, f"{number}.csv", length=50_000) for number in range(uploads.AT_A_TIME)]
    try:
        for sender in senders:
            sender.sendall(order(1))
        until(lambda: len(landed(quiet.root)) == len(senders))
        answer = quiet.program().put(f"{FILES}/more.csv", content=order(1))
        assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
    finally:
        for sender in senders:
            sender.close()
    until(lambda: not landed(quiet.root))
    assert quiet.program().put(f"{FILES}/more.csv", content=order(1)).status_code == 201


def test_two_that_send_one_name_leave_one_whole_file(quiet: Site) -> None:
    bodies = [order(number) * 200 for number in range(3)]
    answers: list[int] = []

    def send(body: bytes) -> None:
        with httpx.Client(base_url=quiet.url, headers={"Authorization": f"Bearer {quiet.keys.token}"}) as client:
            answers.append(client.put(f"{FILES}/same.csv", content=body).status_code)

    threads = [threading.Thread(target=send, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [201, 201, 201]
    (found,) = quiet.lake.store.list(quiet.lake.config.raw_bucket)
    assert quiet.lake.store.get(found.bucket, found.key) in bodies


def connection(site: Site, name: str, *, length: int) -> socket.socket:
    """A sender that has sent its headers."""
    host, port = site.url.removeprefix("http://").split(":")
    found = socket.create_connection((host, int(port)), timeout=30)
    found.sendall(
        f"PUT {FILES}/{name} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {site.keys.token}\r\n"
        f"Content-Length: {length}\r\n\r\n".encode()
    )
    return found
