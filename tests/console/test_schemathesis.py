"""The API, asked by a generator that knows only its document: no fault of the server, and answers as documented."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from support.consoles import Site, served_lake

from lakehead.console.api import ENDPOINTS, openapi

EXAMPLES = 12
"""Requests of each operation, valid ones and others."""

schemathesis.serializer.alias("application/gzip", "application/octet-stream")
schema = schemathesis.openapi.from_dict(openapi())
schema.config.update(base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A lake of its own: what is generated lands files, stops runs and replays."""
    with served_lake(tmp_path_factory.mktemp("generated") / "lake", upload_bytes=1_000_000) as site:
        site.lake.put(sorted((site.root / "samples").glob("*.csv")))
        yield site


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_whatever_is_sent(case: schemathesis.Case[Any], asked: Site) -> None:
    case.call_and_validate(base_url=f"{asked.url}/api/v1", headers={"Authorization": f"Bearer {asked.keys.token}"})


def test_every_endpoint_was_asked() -> None:
    assert sum(1 for _ in schema.get_all_operations()) == len(ENDPOINTS)
