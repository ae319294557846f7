"""The cost model holds what it is made of, and the documentation shows what it computes."""

from __future__ import annotations

import re

import costs
import pytest
from support.terraform import ROOT

DEPLOYING = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")


def test_the_documentation_shows_what_the_model_computes() -> None:
    assert costs.table() in DEPLOYING


def test_a_files_cost_is_what_the_prices_make_it() -> None:
    each = costs.EACH_FILE_CRAWLS
    assert each.crawl == pytest.approx(2 * (10 / 60) * 2 * 0.44)
    assert each.job == pytest.approx(1.5 / 60 * 2 * 0.44)
    assert 0.17 <= each.total <= 0.32
    assert 4 <= each.seconds / 60 <= 6


def test_crawls_are_what_a_file_costs_and_sharing_them_saves_it() -> None:
    first, alone, ten, hundred, direct = costs.DESIGNS
    assert first.total == alone.total > 3 * ten.total > ten.total > hundred.total > direct.total
    assert direct.total == pytest.approx(0.023, abs=0.001)
    assert direct.total < first.total / 10
    assert direct.seconds < alone.seconds < first.seconds


def test_the_transitions_that_are_counted_are_about_those_of_the_document() -> None:
    states = len(
        re.findall(
            r'"Type": "(?!Fail|Succeed)', (ROOT / "src/lakehead/examples/sales/workflow/ingest.asl.json").read_text()
        )
    )
    assert costs.DESIGNS[0].transitions >= states
