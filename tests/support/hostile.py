"""Statements that nobody should be able to do harm with, and what shows whether they did.

`{outside}` is a folder that holds canaries and nothing of the lake, `{link}` leads to it from within the lake,
`{lake}` is a file of the lake, `{catalog}` its catalog, `{parent}` the process that asks, and `{port}` a server's that
counts who connects.
"""

from __future__ import annotations

import hashlib
import os
import socket
from contextlib import suppress
from pathlib import Path

CANARY = "c4n4ry-of-somebody-else"

WRITES = {
    "copy": "COPY (SELECT 1) TO '{outside}/w.csv'",
    "copy-table": "COPY processed_orders TO '{outside}/w.parquet' (FORMAT parquet)",
    "copy-over-canary": "COPY (SELECT 1) TO '{outside}/canary.csv'",
    "copy-over-lake": "COPY (SELECT 1) TO '{lake}'",
    "copy-into-lake": "COPY (SELECT 1) TO '{lake}' (FORMAT csv, USE_TMP_FILE false)",
    "copy-into-catalog": "COPY (SELECT 1) TO '{catalog}' (FORMAT csv, USE_TMP_FILE false)",
    "copy-into-shared-memory": "COPY (SELECT 1) TO '{catalog}-shm' (FORMAT csv, USE_TMP_FILE false)",
    "copy-beside-lake": "COPY (SELECT 1) TO '{lake}.more' (FORMAT parquet)",
    "copy-over-catalog": "COPY (SELECT 1) TO '{catalog}'",
    "copy-over-shared-memory": "COPY (SELECT 1) TO '{catalog}-shm'",
    "copy-through-link": "COPY (SELECT 1) TO '{link}/w.csv'",
    "copy-up": "COPY (SELECT 1) TO '../../w.csv'",
    "copy-partitioned": "COPY (SELECT 1 AS a, 2 AS b) TO '{outside}/parts' (FORMAT parquet, PARTITION_BY (a))",
    "copy-in-with": "WITH i AS (COPY (SELECT 1) TO '{outside}/w.csv') SELECT 1",
    "copy-in-materialized": "WITH i AS MATERIALIZED (COPY (SELECT 1) TO '{outside}/w.csv') SELECT * FROM i",
    "copy-in-subquery": "SELECT * FROM (COPY (SELECT 1) TO '{outside}/w.csv')",
    "copy-explained": "EXPLAIN ANALYZE COPY (SELECT 1) TO '{outside}/w.csv'",
    "copy-prepared": "PREPARE p AS COPY (SELECT 1) TO '{outside}/w.csv'; EXECUTE p",
    "copy-behind-select": "SELECT 1; COPY (SELECT 1) TO '{outside}/w.csv'",
    "copy-behind-comment": "SELECT 1 /* ; */; /**/ COPY (SELECT 1) TO '{outside}/w.csv' --",
    "copy-behind-line-comment": "SELECT 1 -- a\n; COPY (SELECT 1) TO '{outside}/w.csv'",
    "copy-behind-blank": "SELECT 1;\u00a0COPY (SELECT 1) TO '{outside}/w.csv'",
    "export": "EXPORT DATABASE '{outside}/export'",
    "attach": "ATTACH '{outside}/w.duckdb' AS w; CREATE TABLE w.t AS SELECT 1",
    "attach-sqlite": "ATTACH '{catalog}' AS w (TYPE sqlite); DELETE FROM w.tables",
    "attach-alone": "ATTACH '{outside}/w.duckdb'",
    "use": "ATTACH '{outside}/w.duckdb' AS w; USE w; CREATE TABLE t AS SELECT 1; CHECKPOINT",
    "create": "CREATE TABLE w AS SELECT 1",
    "create-view": "CREATE VIEW w AS SELECT 1",
    "create-macro": "CREATE MACRO w() AS 1",
    "insert": "INSERT INTO processed_orders VALUES (1)",
    "delete": "DELETE FROM processed_orders",
    "update": "UPDATE processed_orders SET quantity = 0",
    "merge": "MERGE INTO processed_orders a USING raw_orders b ON true WHEN MATCHED THEN DELETE",
    "drop": "DROP TABLE processed_orders",
    "truncate": "TRUNCATE TABLE processed_orders",
    "alter": "ALTER TABLE processed_orders DROP COLUMN quantity",
    "unload": "UNLOAD (SELECT 1) TO '{outside}/w' WITH (format = 'PARQUET')",
    "secret": "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "secret-kept": "CREATE PERSISTENT SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "secret-elsewhere": "SET secret_directory = '{outside}'; CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'b')",
    "spill-elsewhere": "SET temp_directory = '{outside}/spill'",
    "log-queries": "SET log_query_path = '{outside}/log.sql'; SELECT 1",
    "log-to-file": "CALL enable_logging(storage = 'file', storage_config = {{'path': '{outside}/logs'}}); SELECT 1",
    "profile": "PRAGMA enable_profiling = 'json'; PRAGMA profiling_output = '{outside}/p.json'; SELECT 1",
    "install": "INSTALL httpfs",
    "install-from": "INSTALL evil FROM 'http://127.0.0.1:{port}'",
    "install-forced": "FORCE INSTALL spatial",
    "install-elsewhere": "SET extension_directory = '{outside}'; INSTALL fts",
    "load": "LOAD httpfs",
    "load-file": "LOAD '{outside}/canary.duckdb_extension'",
    "import": "IMPORT DATABASE '{outside}'",
    "msck": "MSCK REPAIR TABLE raw_orders",
}
"""Statements that would write, or change what later ones may do."""

READS = {
    "csv": "SELECT * FROM read_csv('{outside}/canary.csv')",
    "csv-auto": "SELECT * FROM read_csv_auto('{outside}/canary.csv', header = false)",
    "csv-sniffed": "SELECT * FROM sniff_csv('{outside}/canary.csv')",
    "text": "SELECT * FROM read_text('{outside}/canary.csv')",
    "text-glob": "SELECT * FROM read_text('{outside}/*')",
    "blob": "SELECT * FROM read_blob('{outside}/canary.csv')",
    "json": "SELECT * FROM read_json('{outside}/canary.json')",
    "json-objects": "SELECT * FROM read_json_objects('{outside}/canary.json')",
    "ndjson": "SELECT * FROM read_ndjson_auto('{outside}/canary.json')",
    "parquet": "SELECT * FROM read_parquet('{outside}/canary.parquet')",
    "parquet-scan": "SELECT * FROM parquet_scan(['{outside}/canary.parquet'])",
    "parquet-metadata": "SELECT * FROM parquet_metadata('{outside}/canary.parquet')",
    "parquet-keys": "SELECT * FROM parquet_kv_metadata('{outside}/canary.parquet')",
    "glob": "SELECT * FROM glob('{outside}/c4n4ry*')",
    "file-name": "SELECT * FROM '{outside}/canary.csv'",
    "quoted-file-name": 'SELECT * FROM "{outside}/canary.csv"',
    "quoted-pattern": 'SELECT * FROM "{outside}/*.parquet"',
    "quoted-passwd": 'SELECT * FROM "/etc/passwd"',
    "unicode-escape": 'SELECT * FROM U&"\\002Fetc\\002Fpasswd"',
    "catalog-and-schema": 'SELECT * FROM "{outside}"."canary.csv"',
    "from-first": "FROM '{outside}/canary.csv'",
    "table-word": 'TABLE "{outside}/canary.csv"',
    "joined-name": "SELECT * FROM read_text('{outside}/' || 'canary' || '.csv')",
    "through-proc": "SELECT * FROM read_text('/proc/self/root{outside}/canary.csv')",
    "through-proc-cwd": "SELECT * FROM read_text('/proc/self/cwd/../../{outside}/canary.csv')",
    "through-link": "SELECT * FROM read_text('{link}/canary.csv')",
    "through-dots": "SELECT * FROM read_text('{lake}/../../../../../../../../../../../{outside}/canary.csv')",
    "environment": "SELECT * FROM read_text('/proc/self/environ')",
    "environment-of-parent": "SELECT * FROM read_blob('/proc/{parent}/environ')",
    "memory": "SELECT * FROM read_text('/proc/self/maps')",
    "passwd": "SELECT * FROM read_csv('/etc/passwd', delim = ':', header = false)",
    "shadow": "SELECT * FROM read_text('/etc/shadow')",
    "getenv": "SELECT getenv('LAKEHEAD_CANARY')",
    "scalar": "SELECT (SELECT content FROM read_text('{outside}/canary.csv'))",
    "exists": "SELECT 1 WHERE EXISTS (SELECT 1 FROM read_text('{outside}/canary.csv') WHERE content LIKE 'c%')",
    "in-order": "SELECT 1 ORDER BY (SELECT content FROM read_text('{outside}/canary.csv'))",
    "in-limit": "SELECT 1 LIMIT (SELECT length(content) FROM read_text('{outside}/canary.csv'))",
    "in-values": "VALUES ((SELECT content FROM read_text('{outside}/canary.csv')))",
    "lateral": "SELECT * FROM (SELECT '{outside}/canary.csv' AS f) AS a, LATERAL (SELECT * FROM read_text(a.f)) AS b",
    "in-error": "SELECT CAST(content AS INTEGER) FROM read_text('{outside}/canary.csv')",
    "query": "SELECT * FROM query('SELECT * FROM read_text(''{outside}/canary.csv'')')",
    "query-table": "SELECT * FROM query_table('{outside}/canary.csv')",
    "serialized": (
        "SELECT * FROM json_execute_serialized_sql("
        "json_serialize_sql('SELECT * FROM read_text(''{outside}/canary.csv'')'))"
    ),
    "described": "DESCRIBE SELECT * FROM '{outside}/canary.csv'",
    "summarized": "SUMMARIZE '{outside}/canary.csv'",
    "pivot": "PIVOT '{outside}/canary.csv' ON column0",
    "copied-in": "CREATE TABLE t (a VARCHAR); COPY t FROM '{outside}/canary.csv'; FROM t",
    "attached": "ATTACH '{outside}/canary.duckdb' AS c (READ_ONLY); SELECT * FROM c.t",
    "attached-catalog": "SELECT * FROM sqlite_scan('{catalog}', 'notes')",
    "http": "SELECT * FROM 'http://127.0.0.1:{port}/x.csv'",
    "https": "SELECT * FROM read_csv('https://127.0.0.1:{port}/x.csv')",
    "s3": "SELECT * FROM read_parquet('s3://127.0.0.1:{port}/x.parquet')",
    "postgres": "ATTACH 'host=127.0.0.1 port={port}' AS p (TYPE postgres)",
    "settings": "SELECT * FROM duckdb_settings()",
    "setting": "SELECT current_setting('allowed_paths')",
    "secrets": "SELECT * FROM duckdb_secrets()",
    "extensions": "SELECT * FROM duckdb_extensions()",
    "tables": "SELECT * FROM duckdb_tables()",
    "databases": "SELECT * FROM pragma_database_list()",
    "information-schema": "SELECT * FROM information_schema.tables",
    "sqlite-master": "SELECT * FROM sqlite_master",
    "pragma": "PRAGMA database_list",
    "show-all": "SHOW ALL TABLES",
    "python-variable": "SELECT * FROM canary_in_python",
    "python-variable-quoted": 'SELECT * FROM "canary_in_python" AS t',
    "logs": "SELECT * FROM duckdb_logs()",
    "variable": "SELECT getvariable('LAKEHEAD_CANARY')",
    "unlock": "RESET lock_configuration; SET enable_external_access = true; FROM read_text('{outside}/canary.csv')",
    "reset": "RESET enable_external_access; FROM read_text('{outside}/canary.csv')",
    "allow": "SET allowed_directories = ['/']; FROM read_text('{outside}/canary.csv')",
    "replace-python": "SET python_enable_replacements = true; FROM canary_in_python",
}
"""Statements that would tell what nobody should know."""


def _cross(count: int) -> str:
    return ", ".join(f"processed_orders t{number}" for number in range(count))


def _doubled(times: int) -> str:
    steps = (f", a{n} AS (SELECT x || x || x || x || x || x || x || x AS x FROM a{n - 1})" for n in range(1, times))
    return f"WITH a0 AS (SELECT 'xxxxxxxxxxxxxxxx' AS x){''.join(steps)} SELECT length(x) FROM a{times - 1}"


EXHAUSTING = {
    "lpad": "SELECT lpad('x', 2000000000, 'y')",
    "sequence": "SELECT cardinality(sequence(1, 2000000000))",
    "doubled-text": _doubled(11),
    "replace": "SELECT length(replace(lpad('a', 10000000, 'a'), 'a', lpad('b', 10000, 'b')))",
    "split": "SELECT cardinality(split(lpad('a', 100000000, 'a,'), ','))",
    "levenshtein": "SELECT levenshtein_distance(lpad('a', 1000000, 'a'), lpad('b', 1000000, 'b'))",
    "regex": "SELECT regexp_like(lpad('a', 1000000, 'a'), '((a{1,100}){1,100}){1,100}$')",
    "regex-size": "SELECT regexp_like('a', '(((x{1000}){1000}){1000}){1000}')",
    "cross-join": f"SELECT count(*) FROM {_cross(20)} WHERE t0.price < t1.price + t2.price",
    "cross-join-sorted": f"SELECT t0.product, t1.product FROM {_cross(16)} ORDER BY t3.price, t4.price, 1, 2",
    "array-of-all": f"SELECT array_agg(t0.product) FROM {_cross(16)}",
    "text-of-all": f"SELECT length(array_join(array_agg(t0.product), ',')) FROM {_cross(16)}",
    "listagg": f"SELECT length(listagg(t0.product, ',') WITHIN GROUP (ORDER BY 1)) FROM {_cross(16)}",
    "distinct-of-all": f"SELECT count(*) FROM (SELECT DISTINCT rand() AS a, t0.product FROM {_cross(16)})",
    "unnest": (
        "SELECT count(*) FROM UNNEST(sequence(1, 10000)) AS a (x) CROSS JOIN UNNEST(sequence(1, 10000)) AS b (y)"
        " CROSS JOIN UNNEST(sequence(1, 10000)) AS c (z)"
    ),
    "recursive": "WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    "window": (
        "SELECT sum(t0.price) OVER (ORDER BY t1.price ROWS BETWEEN 10000000 PRECEDING AND CURRENT ROW)"
        f" FROM {_cross(14)}"
    ),
    "cube": f"SELECT count(*) FROM processed_orders GROUP BY CUBE({', '.join(f'order_id + {n}' for n in range(30))})",
    "brackets": f"SELECT {'(' * 100_000}1{')' * 100_000}",
    "square-brackets": f"SELECT {'ARRAY[' * 30_000}1{']' * 30_000}",
    "subqueries": f"SELECT * FROM {'(SELECT * FROM ' * 10_000}processed_orders{')' * 10_000}",
    "subqueries-allowed": f"SELECT * FROM {'(SELECT * FROM ' * 149}processed_orders{')' * 149}",
    "exists": f"SELECT 1 WHERE {'EXISTS (SELECT 1 WHERE ' * 149}true{')' * 149}",
    "case": f"SELECT {'CASE WHEN true THEN ' * 9_000}1{' END' * 9_000}",
    "nots": f"SELECT {'NOT ' * 60_000}true",
    "signs": f"SELECT {'- ' * 100_000}1",
    "sum": f"SELECT {'1+' * 100_000}1",
    "joined-text": f"""SELECT {"'a'||" * 50_000}'a'""",
    "conditions": f"SELECT {'true AND ' * 28_000}true",
    "values": f"SELECT 1 WHERE 1 IN ({', '.join(map(str, range(34_000)))})",
    "columns": f"SELECT {','.join(['1'] * 120_000)}",
    "stars": f"SELECT {','.join(['t.*'] * 60_000)} FROM processed_orders t",
    "unions": " UNION ALL ".join(["SELECT 1"] * 13_000),
    "with": f"WITH {','.join(f'a{n} AS (SELECT 1 x)' for n in range(8_000))} SELECT 1",
    "joins": f"SELECT count(*) FROM {_cross(3_000)}",
    "comments": f"SELECT 1 {'/*' * 60_000}",
    "number": f"SELECT {'9' * 200_000}",
    "long": f"SELECT '{'x' * 300_000}'",
    "long-error": f'SELECT "{"x" * 200_000}" FROM processed_orders',
    "open-quote": f"SELECT '{'x' * 200_000}",
    "nul": "SELECT 'a\x00b'",
    "wide-row": "SELECT lpad('x', 3000000, 'y')",
    "wide-rows": "SELECT lpad('x', 1000000, 'y') FROM UNNEST(sequence(1, 2000)) AS a (x)",
}
"""Statements that would take all there is of time, memory or patience."""

RAW_EXHAUSTING = {
    "repeat": "SELECT length(repeat('x', 2000000000) || repeat('y', 2000000000))",
    "repeats": "SELECT sum(length(repeat('x', 100000000 + i::INT))) FROM range(1000) AS t (i)",
    "range": "SELECT len(range(10000000000))",
    "lists": "SELECT list(range(1000000)) FROM range(100000)",
    "lpad": "SELECT max(lpad('x', 1000000000 + i::INT, 'y')) FROM range(100) AS t (i)",
    "recursive": "WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    "cross": "SELECT count(*) FROM range(9000000) a, range(8000000) b, range(7000) c WHERE a.range < b.range + c.range",
    "sort": "SELECT a.range, b.range, random() FROM range(1000000) a, range(1000000) b ORDER BY 3",
    "table": "CREATE TABLE t AS SELECT random() AS a, md5(i::VARCHAR) AS b FROM range(100000000000) AS r (i)",
    "file": "COPY (SELECT random() AS a, md5(i::VARCHAR) AS b FROM range(100000000000) AS r (i)) TO 'big.csv'",
}
"""The same in DuckDB's SQL."""


class Watched:
    """Folders with canaries, and a server that only counts who comes."""

    def __init__(self, root: Path, *, lake: Path, catalog: Path) -> None:
        self.root, self.catalog = root, catalog
        self.outside = root / "outside"
        self.outside.mkdir()
        for name in ("canary.csv", "canary.json", "canary.duckdb_extension"):
            (self.outside / name).write_text(f'{{"a": "{CANARY}"}}\n', encoding="utf-8")
        (self.outside / f"{CANARY}.txt").touch()
        self.link = lake / "raw" / "link"
        self.link.symlink_to(self.outside, target_is_directory=True)
        self.file = next((lake / "processed").rglob("*.parquet"))
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)

    def fill(self, sql: str) -> str:
        """A statement with these folders in it."""
        return sql.format(
            outside=self.outside,
            lake=self.file,
            catalog=self.catalog,
            link=self.link,
            port=self._server.getsockname()[1],
            parent=os.getpid(),
        )

    def visits(self) -> int:
        """How many connections were made since it was last asked."""
        found = 0
        with suppress(BlockingIOError):
            while True:
                self._server.accept()[0].close()
                found += 1
        return found

    def tree(self) -> dict[str, tuple[int, int, int, str]]:
        """Everything below the root, but jobs' own folders: mode, size, time of the last change, SHA-256."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            relative = path.relative_to(self.root)
            if relative.parts[0] == "jobs":
                continue
            status = path.lstat()
            plain = path.is_file() and not path.is_symlink()
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if plain else ""
            found[str(relative)] = (status.st_mode, status.st_size, status.st_mtime_ns, digest)
        return found

    def close(self) -> None:
        self._server.close()
