"""The journal's schema, in numbered steps forward.

Times are microseconds since 1970 in UTC. JSON is stored as text.
"""

from __future__ import annotations

from lakehead.sqlite import Migrations

MIGRATIONS: Migrations = (
    (
        "CREATE TABLE definitions (hash TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT, WITHOUT ROWID",
        """CREATE TABLE executions (
            number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, machine TEXT NOT NULL,
            definition TEXT NOT NULL, status TEXT NOT NULL, input TEXT NOT NULL, output TEXT, error TEXT, cause TEXT,
            labels TEXT NOT NULL, created INTEGER NOT NULL, ended INTEGER,
            redrives INTEGER NOT NULL DEFAULT 0) STRICT""",
        "CREATE INDEX executions_created ON executions (created, number)",
        "CREATE INDEX executions_status ON executions (status, created, number)",
        "CREATE INDEX executions_status_name ON executions (status, name)",
        "CREATE INDEX executions_ended ON executions (ended) WHERE ended IS NOT NULL",
        "CREATE INDEX executions_definition ON executions (definition)",
        # Status and time are repeated here, so that a filter by label and status walks one index in the order shown.
        """CREATE TABLE labels (
            execution INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, status TEXT NOT NULL,
            created INTEGER NOT NULL, PRIMARY KEY (execution, name)) STRICT, WITHOUT ROWID""",
        "CREATE INDEX labels_value ON labels (name, value, created, execution)",
        "CREATE INDEX labels_value_status ON labels (name, value, status, created, execution)",
        # The interpreter's state, until the execution has succeeded. Apart, because it is written with every step.
        """CREATE TABLE states (
            execution INTEGER PRIMARY KEY, state TEXT NOT NULL, updated INTEGER NOT NULL) STRICT""",
        # One row for each step: a JSON array of its events. `position`: see `execution.position`.
        "CREATE TABLE history (position INTEGER PRIMARY KEY, events TEXT NOT NULL) STRICT",
        # The outbox. phase: 0 waits for a worker, 1 has one (`owner`), 2 waits for someone to report with its token.
        """CREATE TABLE tasks (
            execution INTEGER NOT NULL, task INTEGER NOT NULL, resource TEXT NOT NULL, state_name TEXT NOT NULL,
            request TEXT NOT NULL, timeout REAL, heartbeat REAL, wait_for_token INTEGER NOT NULL,
            task_token TEXT NOT NULL, phase INTEGER NOT NULL DEFAULT 0, owner INTEGER, runs INTEGER NOT NULL DEFAULT 0,
            deadline INTEGER, silent_until INTEGER, PRIMARY KEY (execution, task)) STRICT, WITHOUT ROWID""",
        # Oldest execution first, so that what was begun is finished before more is begun.
        "CREATE INDEX tasks_pending ON tasks (resource, execution, task) WHERE phase = 0",
        "CREATE INDEX tasks_owner ON tasks (owner) WHERE owner IS NOT NULL",
        "CREATE INDEX tasks_deadline ON tasks (deadline) WHERE deadline IS NOT NULL",
        "CREATE INDEX tasks_silent ON tasks (silent_until) WHERE silent_until IS NOT NULL",
        "CREATE INDEX tasks_token ON tasks (task_token) WHERE task_token <> ''",
        """CREATE TABLE timers (
            execution INTEGER NOT NULL, timer INTEGER NOT NULL, due INTEGER NOT NULL,
            PRIMARY KEY (execution, timer)) STRICT, WITHOUT ROWID""",
        "CREATE INDEX timers_due ON timers (due)",
        # One lease for each worker, not for each task: a long task costs no writes.
        """CREATE TABLE workers (
            id INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL, boot TEXT NOT NULL, pid INTEGER NOT NULL,
            born TEXT NOT NULL, expires INTEGER NOT NULL) STRICT""",
    ),
    # An execution that ended as it was started kept its labels as RUNNING.
    (
        """UPDATE labels SET status = (SELECT status FROM executions WHERE number = execution)
            WHERE status = 'RUNNING'""",
    ),
    # How many executions have each status, so that nobody has to count them.
    (
        "CREATE TABLE counts (status TEXT PRIMARY KEY, executions INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        "INSERT INTO counts SELECT status, count(*) FROM executions GROUP BY status",
        """CREATE TRIGGER executions_added AFTER INSERT ON executions BEGIN
            INSERT INTO counts VALUES (new.status, 1) ON CONFLICT DO UPDATE SET executions = executions + 1; END""",
        """CREATE TRIGGER executions_changed AFTER UPDATE OF status ON executions WHEN old.status <> new.status BEGIN
            UPDATE counts SET executions = executions - 1 WHERE status = old.status;
            INSERT INTO counts VALUES (new.status, 1) ON CONFLICT DO UPDATE SET executions = executions + 1; END""",
        """CREATE TRIGGER executions_removed AFTER DELETE ON executions BEGIN
            UPDATE counts SET executions = executions - 1 WHERE status = old.status; END""",
    ),
)
