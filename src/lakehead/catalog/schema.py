"""The catalog's schema, in numbered steps forward, and what to do with a damaged file."""

from __future__ import annotations

from lakehead.sqlite import Migrations

DAMAGED = "Move it away and run a full crawl: commit records and raw objects hold all of it."

MIGRATIONS: Migrations = (
    (
        """CREATE TABLE tables (
            name TEXT PRIMARY KEY, dataset TEXT NOT NULL, zone TEXT NOT NULL, bucket TEXT NOT NULL,
            location TEXT NOT NULL, classification TEXT NOT NULL, columns TEXT NOT NULL, partition_keys TEXT NOT NULL,
            parameters TEXT NOT NULL, dialect TEXT NOT NULL, crawls INTEGER NOT NULL DEFAULT 0,
            created TEXT NOT NULL, updated TEXT NOT NULL) STRICT""",
        "CREATE TABLE schemas (fingerprint TEXT PRIMARY KEY, columns TEXT NOT NULL) STRICT",
        # One line per landed object and table, also where it brought no file: its schema counts for the table.
        """CREATE TABLE objects (
            table_name TEXT NOT NULL, object_id TEXT NOT NULL, fingerprint TEXT NOT NULL, version TEXT NOT NULL,
            changed_at TEXT NOT NULL, PRIMARY KEY (table_name, object_id)) STRICT, WITHOUT ROWID""",
        "CREATE INDEX objects_schema ON objects (table_name, fingerprint, changed_at)",
        """CREATE TABLE files (
            table_name TEXT NOT NULL, partition TEXT NOT NULL, key TEXT NOT NULL, bucket TEXT NOT NULL,
            row_count INTEGER, bytes INTEGER NOT NULL, object_id TEXT NOT NULL, fingerprint TEXT NOT NULL,
            problem TEXT NOT NULL DEFAULT '', PRIMARY KEY (table_name, partition, key)) STRICT, WITHOUT ROWID""",
        "CREATE INDEX files_object ON files (table_name, object_id)",
        """CREATE TABLE partitions (
            table_name TEXT NOT NULL, path TEXT NOT NULL, location TEXT NOT NULL, row_count INTEGER,
            bytes INTEGER NOT NULL, files INTEGER NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL,
            PRIMARY KEY (table_name, path)) STRICT, WITHOUT ROWID""",
        """CREATE TABLE notes (
            id INTEGER PRIMARY KEY AUTOINCREMENT, dataset TEXT NOT NULL, zone TEXT NOT NULL, key TEXT NOT NULL,
            UNIQUE (dataset, zone, key)) STRICT""",
        """CREATE TABLE crawls (
            id INTEGER PRIMARY KEY, crawler TEXT NOT NULL, table_name TEXT NOT NULL, status TEXT NOT NULL,
            full INTEGER NOT NULL, started TEXT NOT NULL, ended TEXT NOT NULL, report TEXT NOT NULL,
            error TEXT NOT NULL) STRICT""",
        "CREATE INDEX crawls_crawler ON crawls (crawler, id)",
    ),
    # The index of quarantined rows. `execution` and `committed_at` are the commit record's; `rank` lets an index run
    # from most rows to least, and a page go on behind any place in it.
    (
        """CREATE TABLE quarantined (
            table_name TEXT NOT NULL, key TEXT NOT NULL, object_id TEXT NOT NULL, row_count INTEGER NOT NULL,
            committed_at TEXT NOT NULL, execution TEXT NOT NULL,
            rank INTEGER NOT NULL GENERATED ALWAYS AS (-row_count) VIRTUAL, PRIMARY KEY (table_name, key),
            UNIQUE (table_name, object_id)) STRICT, WITHOUT ROWID""",
        "CREATE INDEX quarantined_most ON quarantined (table_name, rank, key)",
        """CREATE TABLE reasons (
            table_name TEXT NOT NULL, key TEXT NOT NULL, reason TEXT NOT NULL, row_count INTEGER NOT NULL,
            rank INTEGER NOT NULL GENERATED ALWAYS AS (-row_count) VIRTUAL, PRIMARY KEY (table_name, key, reason),
            FOREIGN KEY (table_name, key) REFERENCES quarantined ON DELETE CASCADE) STRICT, WITHOUT ROWID""",
        "CREATE INDEX reasons_most ON reasons (table_name, reason, rank, key)",
        "CREATE INDEX reasons_key ON reasons (table_name, reason, key, row_count)",
        # What looks for the newest files of a table.
        "CREATE INDEX objects_changed ON objects (table_name, changed_at)",
        "CREATE INDEX crawls_table ON crawls (table_name, id)",
        # Tables whose next crawl has to be a full one. The index is empty so far, and a full crawl passes over objects
        # whose version is known.
        "CREATE TABLE outdated (table_name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
        "UPDATE objects SET version = '' WHERE table_name IN (SELECT name FROM tables WHERE zone = 'quarantine')",
        "INSERT INTO outdated SELECT name FROM tables WHERE zone = 'processed'",
    ),
)
