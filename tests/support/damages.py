"""What can be wrong with a committed object, planted, with the findings that it gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lakehead.etl.base import CommitRecord
from lakehead.etl.record import HEAD_BYTES
from lakehead.model import ObjectVersion
from lakehead.storage import layout
from support.jobs import DATASET, JobScene


def rewrite(scene: JobScene, version: ObjectVersion, change: Callable[[dict[str, Any]], object]) -> None:
    document = scene.document(version)
    change(document)
    key = layout.commit_key(DATASET, version.id)
    scene.store.put(scene.bucket, key, b" " * HEAD_BYTES + json.dumps(document).encode())


Damage = Callable[[JobScene, ObjectVersion, CommitRecord], object]

DAMAGES: dict[str, tuple[Damage, set[str]]] = {
    "file deleted": (lambda s, v, r: s.store.delete(s.bucket, r.files[0].key), {"missing_file"}),
    "quarantine deleted": (lambda s, v, r: s.store.delete(s.bucket, r.quarantine[0].key), {"missing_file"}),
    "file cut": (
        lambda s, v, r: s.store.put(s.bucket, r.files[0].key, s.store.get(s.bucket, r.files[0].key)[:-9]),
        {"wrong_size"},
    ),
    "file of another partition": (
        lambda s, v, r: s.store.put(s.bucket, r.files[0].key, bytes(r.files[0].bytes)),
        {"wrong_rows"},
    ),
    "rows read": (lambda s, v, r: rewrite(s, v, lambda d: d.update(rows_read=4)), {"rows_unaccounted"}),
    "rows of a file": (
        lambda s, v, r: rewrite(s, v, lambda d: d["files"][0].update(rows=7)),
        {"rows_unaccounted", "wrong_rows"},
    ),
    "rows moved between files": (
        lambda s, v, r: rewrite(s, v, lambda d: (d["files"][0].update(rows=0), d["files"][1].update(rows=2))),
        {"wrong_rows"},
    ),
    "file left out": (
        lambda s, v, r: rewrite(s, v, lambda d: d["files"].pop()),
        {"rows_unaccounted", "orphan_file"},
    ),
    "partition": (
        lambda s, v, r: rewrite(s, v, lambda d: d["files"][0].update(partition="day=2000-01-01")),
        {"misplaced_file"},
    ),
}
