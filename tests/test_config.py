"""Settings: one order of precedence, nothing unknown accepted, every complaint with its place."""

from __future__ import annotations

import dataclasses
import string
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lakehead.config import FILE_NAME, LakeConfig, explain, find_lake, load_config, redacted
from lakehead.config.document import Document
from lakehead.config.settings import SETTINGS
from lakehead.errors import ConfigError

LEAST = '[lake]\nname = "sales"\n[env.dev]\n'


def lake(folder: Path, text: str = LEAST) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / FILE_NAME).write_text(text, encoding="utf-8")
    return folder


def refused(folder: Path, text: str, **more: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_config(lake(folder, text), environ={}, **more)
    return caught.value


def test_the_table_of_settings_and_the_config_agree() -> None:
    fields = {field.name for field in dataclasses.fields(LakeConfig)}
    assert {setting.name for setting in SETTINGS} == fields - {"root", "notify", "origins"}
    for setting in SETTINGS:
        assert setting.default is None or setting.read(setting.default) == setting.default, setting.name


def test_defaults(tmp_path: Path) -> None:
    config = load_config(lake(tmp_path), environ={})
    assert (config.environment, config.storage, config.engine) == ("dev", "local", "duckdb")
    assert config.raw_bucket == "sales-datalake-raw-dev"
    assert config.processed_bucket == "sales-datalake-processed-dev"
    assert config.storage_path == tmp_path / "data"
    assert config.log_file == tmp_path / ".lakehead" / "dev" / "logs" / "lakehead.jsonl"
    assert config.database == "sales_dev"


def test_flag_before_variable_before_file_before_default(tmp_path: Path) -> None:
    assert load_config(lake(tmp_path), environ={}).threads == 0
    lake(tmp_path, LEAST + "threads = 3\n")
    assert load_config(tmp_path, environ={}).threads == 3
    assert load_config(tmp_path, environ={"LAKEHEAD_THREADS": "5"}).threads == 5
    assert load_config(tmp_path, environ={"LAKEHEAD_THREADS": "5"}, overrides={"threads": "7"}).threads == 7


def test_every_value_tells_where_it_came_from(tmp_path: Path) -> None:
    lake(tmp_path, LEAST + "# a remark\nthreads = 3\nconcurrency = 2\n")
    config = load_config(tmp_path, overrides={"query_seconds": "9"}, environ={"LAKEHEAD_CONCURRENCY": "8"})
    told = {name: (value, where) for name, value, where in explain(config)}
    assert told["threads"] == ("3", "lakehead.toml:5")
    assert told["concurrency"] == ("8", "LAKEHEAD_CONCURRENCY")
    assert told["query_seconds"] == ("9", "flag")
    assert told["engine"] == ("duckdb", "default")
    assert told["name"] == ("sales", "lakehead.toml:2")
    assert told["environment"] == ("dev", "default")


def test_the_environment_is_chosen_by_flag_variable_file_default(tmp_path: Path) -> None:
    text = '[lake]\nname = "sales"\nenvironment = "b"\n[env.a]\n[env.b]\n[env.c]\n[env.dev]\n'
    lake(tmp_path, text)
    assert load_config(tmp_path, environ={}).environment == "b"
    assert load_config(tmp_path, environ={"LAKEHEAD_ENV": "c"}).environment == "c"
    config = load_config(tmp_path, env="a", environ={"LAKEHEAD_ENV": "c"})
    assert config.environment == "a" and config.raw_bucket == "sales-datalake-raw-a"
    assert dict((name, where) for name, _, where in explain(config))["environment"] == "--env"


@pytest.mark.parametrize(
    ("text", "line", "key", "near"),
    [
        (LEAST + "threds = 2\n", 4, "threds", "threads"),
        ('[lake]\nname = "sales"\nenviroment = "dev"\n[env.dev]\n', 3, "enviroment", "environment"),
        ('[lak]\nname = "sales"\n[env.dev]\n', 1, "lak", "lake"),
        (LEAST + '[[notify]]\nname = "a"\nurl = "env:A"\nwhen = "all"\n', 7, "when", "name, url, on"),
        (LEAST + '[[env.dev.notify]]\nnam = "a"\n', 5, "nam", "name"),
        (LEAST + 'raw_bucket = [\n  "a",\n]\n', 4, "raw_bucket", ""),
        (LEAST + "\n\nthreads = 1.5\n", 6, "threads", ""),
        (LEAST + "env.prod = 3\n", 4, "env", ""),
    ],
)
def test_what_is_wrong_is_told_with_line_and_the_nearest_name(
    tmp_path: Path, text: str, line: int, key: str, near: str
) -> None:
    error = refused(tmp_path, text)
    assert error.where["file"] == str(tmp_path / FILE_NAME)
    assert (error.where["line"], error.where["key"]) == (line, key)
    assert near in error.hint


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("threads", '"two"', "a whole number from 0 to 1,024"),
        ("threads", "true", "a whole number from 0 to 1,024"),
        ("threads", "-1", "a whole number from 0 to 1,024"),
        ("poll_seconds", "nan", "a number of seconds"),
        ("poll_seconds", "inf", "a number of seconds"),
        ("poll_seconds", "1" + "0" * 400, "a number of seconds"),
        ("memory_limit", '"lots"', "an amount of memory"),
        ("memory_limit", '"0GB"', "above zero"),
        ("memory_limit", "1", "an amount of memory"),
        ("storage", '"ftp"', '"local", "s3"'),
        ("raw_bucket", '"Sales_Raw"', "a bucket name"),
        ("raw_bucket", '"a..b"', "a bucket name"),
        ("endpoint_url", '"localhost:9000"', "an address such as"),
        ("endpoint_url", '"http://ann:hunter2@localhost"', "an address such as"),
        ("storage_path", '""', "a path"),
        ("storage_path", '"a\\u0000b"', "without control characters"),
        ("log_level", '"loud"', '"debug"'),
        ("console", '"perhaps"', "true or false"),
        ("console", "1", "true or false"),
        ("console_host", '"127.0.0.1:8470"', "without a port"),
        ("console_host", '"http://a"', "a host such as"),
        ("console_host", '""', "a host such as"),
        ("console_port", "65536", "a whole number from 0 to 65,535"),
        ("console_hosts", '"a b"', "host names separated by commas"),
        ("console_hosts", '"a,,b"', "host names separated by commas"),
        ("console_hosts", '"https://a"', "host names separated by commas"),
        ("console_hosts", '"*"', "host names separated by commas"),
        ("upload_bytes", "0", "a whole number from 1"),
    ],
)
def test_a_wrong_value_says_what_was_expected_and_received(
    tmp_path: Path, setting: str, value: str, expected: str
) -> None:
    error = refused(tmp_path, f"{LEAST}{setting} = {value}\n")
    assert f"{setting}: expected" in error.message and expected in error.message and "received" in error.message
    assert error.where["line"] == 4


def test_a_wrong_variable_or_flag_is_named(tmp_path: Path) -> None:
    lake(tmp_path)
    with pytest.raises(ConfigError, match="LAKEHEAD_THREADS: expected a whole number"):
        load_config(tmp_path, environ={"LAKEHEAD_THREADS": "many"})
    with pytest.raises(ConfigError, match="flag threads: expected a whole number"):
        load_config(tmp_path, environ={}, overrides={"threads": "many"})
    with pytest.raises(ConfigError, match='Did you mean "threads"'):
        load_config(tmp_path, environ={}, overrides={"thread": "1"})


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no environment"),
        ("[env.dev]\n", "has no name"),
        ('[lake]\nname = "Sales Data"\n[env.dev]\n', "name: expected"),
        ('[lake]\nname = "sales"\n[env.prd]\n', 'no environment "dev"'),
        (LEAST + 'raw_bucket = "same"\nprocessed_bucket = "same"\n', "would load its own output"),
        (LEAST + '[env."Dev 1"]\n', "expected a name"),
        ("[lake\n", "no valid TOML"),
        ("a = " + "[" * 20_000, "cannot be read as TOML|no valid TOML"),
        ("a = " + "1" * 10_000, "cannot be read as TOML|no valid TOML|unknown key"),
        (LEAST + '[[notify]]\nname = "a"\n', "misses url"),
        (LEAST + '[[notify]]\nname = "a"\nurl = "nowhere"\n', "expected an address"),
        (LEAST + '[[notify]]\nname = "a"\nurl = "env:NO NAME"\n', "expected an address"),
        (LEAST + '[[notify]]\nname = "a"\nurl = "env:A"\non = "never"\n', 'one of "all"'),
        (
            LEAST + '[[notify]]\nname = "a"\nurl = "env:A"\n' * 1 + '[[notify]]\nname = "a"\nurl = "env:B"\n',
            "two notify",
        ),
        (LEAST + 'notify = "me"\n', r"\[\[env.dev.notify\]\] tables"),
    ],
)
def test_refusals(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        load_config(lake(tmp_path, text), environ={})


def test_a_file_that_is_no_text_or_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"\xff\xfe[\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path, environ={})
    (tmp_path / FILE_NAME).write_bytes(b"#" * (2 << 20))
    with pytest.raises(ConfigError, match="larger than"):
        load_config(tmp_path, environ={})
    (tmp_path / FILE_NAME).write_bytes(b"\xef\xbb\xbf" + LEAST.encode())
    assert load_config(tmp_path, environ={}).name == "sales"


def test_the_lake_is_found_by_flag_variable_or_walking_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = lake(tmp_path / "one"), lake(tmp_path / "other")
    deep = one / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert find_lake(environ={}) == one
    assert find_lake(environ={"LAKEHEAD_LAKE": str(other)}) == other
    assert find_lake(one, environ={"LAKEHEAD_LAKE": str(other)}) == one
    assert find_lake(one / FILE_NAME, environ={}) == one
    with pytest.raises(ConfigError, match="lakehead init"):
        find_lake(deep, environ={})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="or above it"):
        find_lake(environ={})


def test_subscriptions_of_the_lake_and_of_the_environment(tmp_path: Path) -> None:
    text = LEAST + (
        '[[env.dev.notify]]\nname = "chat"\nurl = "env:CHAT"\non = "failure"\n'
        '[[env.prod.notify]]\nname = "pager"\nurl = "env:PAGER"\n'
        '[[notify]]\nname = "mail"\nurl = "mailtos://ann:hunter2@example.org"\n'
    )
    config = load_config(lake(tmp_path, text), environ={})
    assert [(s.name, s.url, s.on) for s in config.notify] == [
        ("mail", "mailtos://ann:hunter2@example.org", "all"),
        ("chat", "env:CHAT", "failure"),
    ]
    assert "hunter2" not in str(explain(config))
    assert redacted("env:CHAT") == "env:CHAT"


def test_where_the_store_is(tmp_path: Path) -> None:
    lake(
        tmp_path,
        LEAST + '[env.aws]\nstorage = "s3"\n[env.minio]\nstorage = "s3"\nendpoint_url = "http://localhost:9000"\n',
    )
    found = [load_config(tmp_path, env, environ={}).store_address for env in ("dev", "aws", "minio")]
    assert found == [tmp_path / "data", "s3://", "http://localhost:9000"]


def test_a_secret_is_not_in_the_complaint(tmp_path: Path) -> None:
    for line in (
        '[[notify]]\nname = "a"\nurl = "hunter2 !"',
        'notify = "hunter2"',
        'endpoint_url = "http://a:hunter2@b"',
    ):
        assert "hunter2" not in str(refused(tmp_path, f"{LEAST}{line}\n"))


NAMES = [setting.name for setting in SETTINGS]
TABLES = ("[lake]", "[env]", "[env.dev]", "[[env]]", "[notify]", "[[notify]]", "[[env.dev.notify]]", "[env.x.y]")
LITERALS = ("1", "-1", "1e400", "nan", "true", "'x'", '"dev"', "[]", "[1, 2]", "{a = 1}", "1979-05-27", '"""\nx"""')
words = st.text(string.ascii_letters + string.digits + "_-. \"'\\[]{}=#\n,é\x00", max_size=12)
lines = st.one_of(
    st.builds("{} = {}".format, st.sampled_from([*NAMES, "url", "on", "x"]), words),
    st.builds("{} = {}".format, st.sampled_from(NAMES), st.sampled_from(LITERALS)),
    st.sampled_from(TABLES),
    words,
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(lines, max_size=12), st.dictionaries(st.sampled_from([s.variable for s in SETTINGS]), words, max_size=2)
)
@example(["[[env]]"], {})
@example(['[lake]\nname = "a"\n[env.dev]\nnotify = [1]'], {})
@example(['[lake]\nname = "a"\n[env.dev]\nstorage_path = "~nobody-at-all/x"'], {})
def test_no_document_does_worse_than_a_config_error(tmp_path: Path, text: list[str], variables: dict[str, str]) -> None:
    lake(tmp_path, (LEAST if len(text) % 2 else "") + "\n".join(text))
    try:
        config = load_config(tmp_path, environ=variables)
    except ConfigError as error:
        assert error.message
    else:
        assert len(explain(config)) == len(SETTINGS) + len(config.notify)


blank = st.sampled_from(["", "# remark", "  ", "# = 'x'"])
values = st.sampled_from(["1", '"x # y"', "[\n 1,\n\n 2,\n]", '"""\nx\n= y\n"""', "'''\n[a]\n'''"])


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.lists(blank, max_size=2), values), min_size=1, max_size=6))
def test_the_line_of_a_key_is_where_its_value_begins(tmp_path: Path, entries: list[tuple[list[str], str]]) -> None:
    text = '[lake]\nname = "a"\n'
    expected = {}
    for number, (before, value) in enumerate(entries):
        text += "".join(line + "\n" for line in before)
        expected[f"k{number}"] = text.count("\n") + 1
        text += f"k{number} = {value}\n"
    document = Document.__new__(Document)
    document.text, document.data = text, tomllib.loads(text)
    assert {key: document.line_of(("lake", key)) for key in expected} == expected


def test_what_aws_runs_has_its_objects_in_s3(tmp_path: Path) -> None:
    error = refused(tmp_path, LEAST + 'runtime = "aws"\n')
    assert "needs storage" in error.message and "[env.dev]" in error.hint
    config = load_config(lake(tmp_path, LEAST + 'runtime = "aws"\nstorage = "s3"\n'), environ={})
    assert (config.runtime, config.storage) == ("aws", "s3")


def test_hosts_of_the_console(tmp_path: Path) -> None:
    text = LEAST + 'console_host = "FD00::1"\nconsole_hosts = " Lake.example.com , [::1]:8443,a:1"\n'
    config = load_config(lake(tmp_path, text), environ={"LAKEHEAD_CONSOLE_TOKEN": "TRUE"})
    assert (config.console_host, config.console_hosts) == ("fd00::1", "lake.example.com,[::1]:8443,a:1")
    assert config.console_token is True
    shown = {name: value for name, value, _ in explain(config)}
    assert (shown["console"], shown["console_port"]) == ("true", "8470")
