"""`init`, `config` and the example lakes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lakehead import examples
from lakehead.config import load_config
from lakehead.errors import UsageError

Call = Callable[..., tuple[int, str, str]]


def test_init_writes_a_lake_and_says_what_is_next(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "my lake"
    code, out, err = call("init", str(folder))
    assert (code, err) == (0, "")
    assert f"cd '{folder}'" in out and "lakehead put samples/*.csv" in out
    for path in (
        "lakehead.toml",
        ".gitignore",
        "README.md",
        "workflow/ingest.asl.json",
        "samples/orders-2025-01-01.csv",
    ):
        assert (folder / path).is_file() and path in out
    assert load_config(folder).name == "sales"
    assert load_config(folder, "prod").storage == "s3"


def test_init_as_json(call: Call, tmp_path: Path) -> None:
    code, out, _ = call("init", str(tmp_path / "x"), "-o", "json")
    assert code == 0 and "lakehead.toml" in json.loads(out)["files"]


def test_init_overwrites_nothing(call: Call, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine", encoding="utf-8")
    code, out, err = call("init", str(tmp_path))
    assert (code, out) == (2, "") and "overwrites nothing" in err
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_there_is_no_such_example(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="retail, sales"):
        examples.write_example("../sales", tmp_path / "x")


@pytest.mark.parametrize("name", examples.names())
def test_every_example_is_a_lake_with_the_same_workflow(name: str, tmp_path: Path) -> None:
    written = examples.write_example(name, tmp_path / name)
    assert load_config(tmp_path / name).name == "sales"
    assert all((tmp_path / name / path).is_file() for path in written)
    shipped = Path(examples.__file__).parent / "sales" / "workflow" / "ingest.asl.json"
    assert (tmp_path / name / "workflow" / "ingest.asl.json").read_bytes() == shipped.read_bytes()
    assert "data" in (tmp_path / name / ".gitignore").read_text(encoding="utf-8")


def test_the_samples_are_the_orders_that_the_readme_shows(sales: Path) -> None:
    rows = []
    for path in sorted((sales / "samples").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            header, *body = csv.reader(file)
        assert header == ["order_id", "customer_id", "product", "quantity", "price", "order_date"]
        rows += body
    assert rows[0] == ["1001", "C001", "Laptop", "1", "75000", "2025-01-01"]
    assert rows[1] == ["1002", "C002", "Mouse", "2", "500", "2025-01-01"]
    assert rows[2] == ["1003", "C003", "Keyboard", "1", "1500", "2025-01-02"]


def test_config_show_tells_values_and_origins(call: Call, sales: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHEAD_THREADS", "2")
    code, out, err = call("--lake", str(sales), "--set", "concurrency=3", "config", "show", "-o", "json")
    assert (code, err) == (0, "")
    told = {row["setting"]: (row["value"], row["from"]) for row in json.loads(out)}
    assert told["threads"] == ("2", "LAKEHEAD_THREADS")
    assert told["concurrency"] == ("3", "flag")
    assert told["raw_bucket"][1].startswith("lakehead.toml:")
    assert told["query_seconds"][1] == "default"


def test_global_options_stand_before_or_after_the_command(call: Call, sales: Path) -> None:
    before = call("--lake", str(sales), "--env", "prod", "-o", "csv", "config", "show")
    after = call("config", "show", "--lake", str(sales), "--env", "prod", "-o", "csv")
    assert before == after and before[0] == 0
    assert "environment,prod,--env" in before[1]


def test_config_keys_documents_every_setting(call: Call) -> None:
    code, out, _ = call("config", "keys", "-o", "json")
    assert code == 0 and all(row["meaning"] for row in json.loads(out))


def test_retail_has_no_samples_so_init_does_not_speak_of_them(call: Call, tmp_path: Path) -> None:
    code, out, _ = call("init", str(tmp_path / "r"), "--example", "retail")
    assert code == 0 and "samples/" not in out and "lakehead ingest" in out


def test_the_demo_removes_only_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "demo-lake").mkdir()
    (tmp_path / "demo-lake" / "precious").touch()
    done = subprocess.run(
        [sys.executable, "-m", "lakehead.examples.demo"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and (tmp_path / "demo-lake" / "precious").exists()
