"""The desk: people's SQL goes in, states and answers come out, and nothing of it outlives its room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lakehead.config import load_config
from lakehead.console.desk import QueryDesk
from lakehead.examples import write_example
from lakehead.lake import Lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    root = tmp_path_factory.mktemp("lake") / "sales"
    write_example("sales", root)
    with Lake.open(load_config(root)) as lake:
        lake.put(sorted((root / "samples").iterdir()))
        lake.ingest()
        yield lake


@pytest.fixture(scope="module")
def desk(lake: Lake) -> Iterator[QueryDesk]:
    desk = QueryDesk(lake)
    yield desk
    desk.close()


def test_an_answer_is_read_page_by_page(desk: QueryDesk) -> None:
    state = desk.wait(desk.submit("SELECT order_id FROM processed_orders ORDER BY 1").id, 30)
    assert (state.status, state.row_count) == ("SUCCEEDED", 16)
    page = desk.page(state.id, offset=2, limit=2)
    assert page.columns == (("order_id", "bigint"),)
    assert (page.rows, page.total) == (((1003,), (1004,)), 16)
