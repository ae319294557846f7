"""Deletes landed objects for good, with every row that came from them, and keeps a record that it was done.

The steps for one object, each of which may be repeated:

1. Put the record of the deletion: what is to go, why and by whom. From here on it can be finished by anybody.
2. Put a tombstone in the place of the commit record. From here on no reader sees a row, and no version up to the
   tombstone's sequencer comes back, whatever events are still on their way.
3. Delete the data and quarantine files, the content markers, records that were set aside, and the landed object itself
   with all its versions. Files that no record named, left by a crash, go too.
4. Have others forget it: events, executions, tables (`forget`, once for all objects).
5. Put the record of the deletion again, finished and without what it needed to get here.

So whatever remains of a deletion that was cut short is found by its record, also the crawl of a table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TypeAlias

from lakehead.errors import CommitConflict, CorruptRecord, ObjectNotFound, PreconditionFailed
from lakehead.etl.base import CommitRecord
from lakehead.etl.commit import Stored, portions_of, read_commit, read_stored, scan_commits
from lakehead.etl.content import marked_key
from lakehead.etl.job import object_lock
from lakehead.etl.record import REPAIR_HINT, dump, encode
from lakehead.model import ObjectVersion, iso, object_id, sequencer_order, utc_now
from lakehead.storage import layout
from lakehead.storage.base import ObjectInfo, ObjectStore

FORMAT = 1
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Deletion:
    """The record of one deletion of one object.

    `key` is empty where only its hash, `object_id`, was to be kept. The rows and files are those that went with it.
    `finished_at` is empty as long as steps remain; until then `landed_key` is the key, `until` the time up to which
    versions go, and `contents` the digests of what was loaded. `sequencer` orders after every version that went.
    """

    dataset: str
    object_id: str
    key: str
    sequencer: str
    at: str
    by: str
    reason: str
    rows_read: int = 0
    rows_committed: int = 0
    rows_quarantined: int = 0
    files: int = 0
    finished_at: str = ""
    landed_key: str = ""
    until: str = ""
    contents: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The key of this record."""
        return layout.deletion_key(self.dataset, self.object_id, self.at.translate(_DIGITS_ONLY))


Forget: TypeAlias = Callable[[Sequence[Deletion]], None]
"""What others do where objects are deleted. It may be called again with the same ones, and raises if it could not."""

_DIGITS_ONLY = {ord(letter): None for letter in "-:."}


@dataclass(frozen=True, slots=True)
class Request:
    """What to delete, and what to write down of it. `sequencer` is the newest one that is known of the object."""

    dataset: str
    key: str
    by: str
    reason: str = ""
    keep_key: bool = True
    sequencer: str = ""


class Eraser:
    """Deletes objects of a lake. Safe beside a working lake, and beside another process that does the same."""

    def __init__(self, *, raw: ObjectStore, processed: ObjectStore, raw_bucket: str, bucket: str) -> None:
        self.raw, self.processed, self.raw_bucket, self.bucket = raw, processed, raw_bucket, bucket

    def delete(self, requests: Iterable[Request], forget: Forget) -> list[Deletion]:
        """Delete objects for good; the finished records. An object that nothing is known of any more gives none."""
        begun = []
        for request in requests:
            begun += [self._take_away(one) for one in self.unfinished(request.dataset, object_id(request.key))]
            if self._is_there(request):
                begun.append(self._take_away(self._begin(request)))
        return self._end(begun, forget)

    def finish(self, deletions: Iterable[Deletion], forget: Forget) -> list[Deletion]:
        """Finish deletions that were cut short. What landed under the same key since then stays."""
        return self._end([self._take_away(one) for one in deletions], forget)

    def unfinished(self, dataset: str, identity: str = "") -> Iterator[Deletion]:
        """Deletions of a dataset, or of one object, of which steps remain. Raises CorruptRecord."""
        return (one for one in self.recorded(dataset, identity) if not one.finished_at)

    def recorded(self, dataset: str, identity: str = "") -> Iterator[Deletion]:
        """The records of a dataset's deletions, or of one object's. Raises CorruptRecord."""
        prefix = layout.deletion_prefix(dataset)
        for info in self.processed.list(self.bucket, layout.deletion_prefix(dataset, identity)):
            if "/" not in info.key.removeprefix(prefix):
                yield read_deletion(self.processed, self.bucket, info.key)

    # The steps ---------------------------------------------------------------------------------------------------

    def _is_there(self, request: Request) -> bool:
        if request.sequencer or self._landed(request.key) is not None:
            return True
        try:
            return read_commit(self.processed, self.bucket, request.dataset, object_id(request.key)) is not None
        except CorruptRecord:
            return True

    def _landed(self, key: str) -> ObjectInfo | None:
        try:
            return self.raw.head(self.raw_bucket, key)
        except ObjectNotFound:
            return None

    def _landed_since(self, deletion: Deletion) -> bool:
        """Whether the object landed again after the deletion was begun."""
        info, until = self._landed(deletion.landed_key), datetime.fromisoformat(deletion.until)
        if info is None:
            return False
        if self.raw.excludes:  # a file's mtime tells nothing, and its sequencer is when it came, in nanoseconds
            return sequencer_order(info.sequencer) > int(until.timestamp() * 1_000_000_000)
        return info.last_modified > until

    def _begin(self, request: Request) -> Deletion:
        identity, now = object_id(request.key), utc_now()
        landed = self._landed(request.key)
        # Where stores are elsewhere, so are their clocks.
        until = max(now, landed.last_modified) if landed and not self.raw.excludes else now
        known = [request.sequencer, landed.sequencer if landed else ""]
        deletion = Deletion(
            request.dataset,
            identity,
            request.key if request.keep_key else "",
            max(known, key=sequencer_order),
            now.isoformat(),
            request.by,
            request.reason,
            landed_key=request.key,
            until=until.isoformat(),
        )
        return self._put(deletion)

    def _take_away(self, deletion: Deletion) -> Deletion:
        """Steps 2 and 3, but for files that no record named."""
        with self.processed.lock(self.bucket, object_lock(deletion.object_id)):
            deletion, gone = self._bury(deletion)
            for key in gone:
                self.processed.purge(self.bucket, key)
            # On a bucket with versions, what the record was before.
            place = layout.commit_key(deletion.dataset, deletion.object_id)
            self.processed.purge(self.bucket, place, keep_newest=True)
        for content in deletion.contents:
            self._drop_marker(deletion, content)
        for info in list(self.processed.list(self.bucket, layout.damaged_prefix(deletion.dataset, deletion.object_id))):
            self.processed.purge(self.bucket, info.key)
        self.raw.purge(self.raw_bucket, deletion.landed_key, until=datetime.fromisoformat(deletion.until))
        return deletion

    def _bury(self, deletion: Deletion) -> tuple[Deletion, tuple[str, ...]]:
        """Put the tombstone; the deletion with what is known now, and the files that went out of sight with it."""
        for _ in range(_TRIES):
            stored, etag = self._stored(deletion)
            record = stored.record if stored else None
            if record is not None and self._stays(record, deletion):
                return deletion, ()
            if record is not None and not record.deleted:
                deletion = self._put(_counted(deletion, record))
            tombstone = _tombstone(deletion, self.raw_bucket)
            try:
                place = layout.commit_key(deletion.dataset, deletion.object_id)
                document = encode(tombstone)
                self.processed.put(self.bucket, place, document, if_none_match=not etag, if_match=etag)
            except PreconditionFailed:
                continue
            return deletion, _own_files(record) if record is not None else ()
        raise CommitConflict(
            "others keep writing the object's commit record", hint="Run the command again.", bucket=self.bucket
        )

    def _stored(self, deletion: Deletion) -> tuple[Stored | None, str]:
        """The object's record, if it can be read, and the etag of whatever is in its place."""
        try:
            stored = read_stored(self.processed, self.bucket, deletion.dataset, deletion.object_id)
        except CorruptRecord:
            place = layout.commit_key(deletion.dataset, deletion.object_id)
            return None, self.processed.head(self.bucket, place).etag
        return stored, stored.etag if stored else ""

    def _stays(self, record: CommitRecord, deletion: Deletion) -> bool:
        """Whether the record is a tombstone that will do, or of a version that landed after the deletion was begun."""
        order = sequencer_order(record.source.sequencer)
        if record.deleted:
            return order >= sequencer_order(deletion.sequencer)
        return order > sequencer_order(deletion.sequencer) and self._landed_since(deletion)

    def _drop_marker(self, deletion: Deletion, content: str) -> None:
        place = layout.content_key(deletion.dataset, content)
        try:
            marked = marked_key(self.processed.get(self.bucket, place))
        except ObjectNotFound:
            return
        if marked in ("", deletion.landed_key):
            self.processed.purge(self.bucket, place)

    def _end(self, begun: list[Deletion], forget: Forget) -> list[Deletion]:
        """Steps 3 (what no record named), 4 and 5."""
        if not begun:
            return []
        for dataset in sorted({one.dataset for one in begun}):
            self._sweep(dataset, [one for one in begun if one.dataset == dataset])
        forget(begun)
        return [self._finish(one) for one in begun]

    def _finish(self, deletion: Deletion) -> Deletion:
        done = replace(deletion, finished_at=iso(utc_now()), landed_key="", until="", contents=())
        self._put(done)
        self.processed.purge(self.bucket, done.place, keep_newest=True)
        return done

    def _sweep(self, dataset: str, begun: list[Deletion]) -> None:
        """Delete files that bear the objects' names and that no record names: attempts that crashed left them."""
        owners = {one.object_id[:20]: one for one in begun}
        for prefix in (layout.dataset_prefix(dataset), layout.quarantine_prefix(dataset)):
            for info in self.processed.list(self.bucket, prefix):
                one = owners.get(layout.owner_of(info.key) or "")
                if one is None:
                    continue
                # Without locks a version that landed again may be about to be committed.
                until = None if self.processed.excludes else datetime.fromisoformat(one.until)
                with self.processed.lock(self.bucket, object_lock(one.object_id)):
                    record = read_commit(self.processed, self.bucket, dataset, one.object_id)
                    if record is None or info.key not in record.keys:
                        self.processed.purge(self.bucket, info.key, until=until)

    def _put(self, deletion: Deletion) -> Deletion:
        self.processed.put(self.bucket, deletion.place, dump({"format": FORMAT, **asdict(deletion)}))
        return deletion


def read_deletion(store: ObjectStore, bucket: str, place: str) -> Deletion:
    """The record of a deletion. Raises CorruptRecord."""
    try:
        document = json.loads(store.get(bucket, place))
        known = {name: document[name] for name in Deletion.__slots__ if name in document}
        found = Deletion(**{**known, "contents": tuple(document.get("contents", ()))})
        if not found.finished_at:
            datetime.fromisoformat(found.until)
            sequencer_order(found.sequencer)
            if object_id(found.landed_key) != found.object_id:
                raise ValueError("its key is another's")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"the record of a deletion cannot be read: {error}"
        raise CorruptRecord(message, hint=REPAIR_HINT, bucket=bucket, key=place) from error
    return found


def skipped_for(store: ObjectStore, bucket: str, dataset: str, key: str) -> list[str]:
    """The keys whose rows were left to this one, because they have the same bytes."""
    found = (record for _, record in scan_commits(store, bucket, dataset) if isinstance(record, CommitRecord))
    return [record.source.key for record in found if record.duplicate_of == key]


def _counted(deletion: Deletion, record: CommitRecord) -> Deletion:
    """The deletion with what the record tells of the object."""
    contents = {*deletion.contents, *(one.content_sha256 for one in portions_of(record))}
    return replace(
        deletion,
        sequencer=max(deletion.sequencer, record.source.sequencer, key=sequencer_order),
        rows_read=record.rows_read,
        rows_committed=record.rows_committed,
        rows_quarantined=record.rows_quarantined,
        files=len(record.keys),
        contents=tuple(sorted(contents)),
    )


def _own_files(record: CommitRecord) -> tuple[str, ...]:
    """The files of the record and those it replaced, as far as their names say that they are its object's."""
    keys = (*record.keys, *record.replaced)
    return tuple(key for key in keys if layout.owner_of(key) == record.object_id[:20])


def nothing_committed(dataset: str, identity: str, raw_bucket: str) -> CommitRecord:
    """What stands in the place of a record that was set aside: nothing is committed, and any version may be."""
    return _tombstone(Deletion(dataset, identity, "", "", iso(utc_now()), "", ""), raw_bucket)


def _tombstone(deletion: Deletion, raw_bucket: str) -> CommitRecord:
    return CommitRecord(
        dataset=deletion.dataset,
        object_id=deletion.object_id,
        source=ObjectVersion(raw_bucket, deletion.key, sequencer=deletion.sequencer),
        content_sha256="",
        contract_version="",
        contract_sha256="",
        engine="",
        execution="",
        attempt="",
        committed_at=deletion.at,
        rows_read=0,
        rows_committed=0,
        rows_quarantined=0,
        files=(),
        quarantine=(),
        schema=(),
        deleted=deletion.at,
    )
