"""Proves a lake's invariants from what its buckets hold, and mends what a crash left.

What holds is noted in a file (`proven.py`), so that the next proof reads only what has changed since. Listings tell
what has: they are merged with the notes, key by key, so that a lake of any size is proven in little memory.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar

from lakehead.contract import Contract
from lakehead.errors import CorruptRecord, ObjectNotFound
from lakehead.etl.base import CommitRecord
from lakehead.etl.commit import portions_of, read_stored
from lakehead.etl.content import still_holds
from lakehead.etl.deletion import Eraser, Forget
from lakehead.etl.mending import REPAIR, Mender
from lakehead.etl.proof import Fault, Prover, misplaced
from lakehead.etl.proven import CHUNK, Proven, RecordRow, mark
from lakehead.locks import alone
from lakehead.model import object_id, utc_now
from lakehead.storage import layout
from lakehead.storage.base import ObjectStore

STALE_AFTER = timedelta(hours=1)
RELOAD = "lakehead replay"
GONE = "land the object again, or: lakehead delete"
LISTED = 1_000
"""How many findings of one kind are told one by one."""
SAMPLE = 0.01
LEAST_SAMPLE = 100
"""How many of the records that were proven longest ago are proven again each time, with all bytes of their files."""
RESTED = timedelta(days=1)
"""A record that was proven within this time is not proven again for its age."""
MANY = 50_000
"""How many broken or damaged records one verification remembers; it counts no more, and the next one tells the rest."""
LOCK_SECONDS = 2.0

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be: what kind, where, what it is, and what mends it."""

    kind: str
    place: str
    detail: str
    fix: str = ""
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Reload:
    """An object that has to be loaded again, by force, to mend a finding."""

    dataset: str
    key: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found.

    `findings` break an invariant. `pending` are landed objects whose current version is not loaded (yet, or because it
    cannot be). `notices` break nothing. `reload` are the objects to load again. Of each kind LISTED are told, `totals`
    counts all. `checked` counts what holds or was looked at, `read` how many records were read for it.
    """

    findings: tuple[Finding, ...] = ()
    pending: tuple[Finding, ...] = ()
    notices: tuple[Finding, ...] = ()
    reload: tuple[Reload, ...] = ()
    checked: Mapping[str, int] = field(default_factory=dict)
    totals: Mapping[str, int] = field(default_factory=dict)
    read: int = 0

    @property
    def ok(self) -> bool:
        """True where nothing breaks an invariant, or everything that did was repaired."""
        return all(finding.repaired for finding in self.findings)


def verify(
    *,
    contracts: Mapping[str, Contract],
    raw: ObjectStore,
    processed: ObjectStore,
    raw_bucket: str,
    processed_bucket: str,
    repair: bool = False,
    deep: bool = False,
    full: bool = False,
    proofs: Path | None = None,
    stale_after: timedelta = STALE_AFTER,
    forget: Forget = lambda _: None,
    lost: Callable[[Sequence[str]], Collection[str]] = lambda _: (),
    progress: Callable[[str], None] = lambda _: None,
) -> VerifyReport:
    """Check every landed object, commit record and file of the datasets that `contracts` describes.

    - Every landed object's current version has a commit record, or is pending. Of those without one `lost` tells which
      had one once.
    - Every record accounts for its rows; its files exist, have its sizes and (in their footers) its rows, lie in their
      partition, and belong to no other record. With `deep` their bytes are compared too.
    - No data, quarantine or staging file is left over, and no deletion was cut short.

    What was proven before, by the file `proofs`, and looks unchanged is not read again, except for some of the oldest;
    with `full` or `deep`, or without the file, all is. Raises Busy where another process uses the file.

    `repair` deletes what is left over, sets unreadable records aside, finishes deletions (`forget` is what others do
    about each), and tells in `reload` what to load again. It may run beside a working lake: what somebody works on is
    left alone, on a store without locks for `stale_after`. Staging counts as left over once nobody has touched it for
    `stale_after`.
    """
    with tempfile.TemporaryDirectory(prefix="lakehead-") as folder:
        path = proofs or Path(folder) / "proofs.db"
        mine = alone(path.with_suffix(".lock"), "another process verifies this lake", "Wait for it.", wait=LOCK_SECONDS)
        with mine, closing(Proven(path, about(raw_bucket, processed_bucket, contracts))) as proven:
            if full or deep:
                proven.clear()
            mender = Mender(contracts, raw, processed, raw_bucket, processed_bucket, repair, stale_after)
            scene = _Scene(
                contracts, raw, processed, raw_bucket, processed_bucket, mender, proven, deep, lost, progress
            )
            return scene.look(forget)


def about(raw_bucket: str, processed_bucket: str, contracts: Mapping[str, Contract]) -> str:
    """What a file of proofs is about."""
    return "\n".join((raw_bucket, processed_bucket, *sorted(contracts)))


@dataclass
class _Scene:
    contracts: Mapping[str, Contract]
    raw: ObjectStore
    processed: ObjectStore
    raw_bucket: str
    bucket: str
    mender: Mender
    proven: Proven
    deep: bool
    lost: Callable[[Sequence[str]], Collection[str]]
    progress: Callable[[str], None]

    findings: list[Finding] = field(default_factory=list)
    pending: list[Finding] = field(default_factory=list)
    notices: list[Finding] = field(default_factory=list)
    totals: Counter[str] = field(default_factory=Counter)
    broken: dict[RecordRow, tuple[str, list[Fault]]] = field(default_factory=dict)
    damaged: dict[RecordRow, str] = field(default_factory=dict)
    reload: dict[str, Reload] = field(default_factory=dict)
    sample: set[RecordRow] = field(default_factory=set)
    read: int = 0

    def look(self, forget: Forget) -> VerifyReport:
        """Files first, records second: whatever is committed in between then has its files in neither way missing."""
        self._look_at_deletions(forget)
        self._compare_files()
        self._compare_records()
        self._prove()
        self._compare_landed()
        self._look_at_landed()
        self._tell_broken()
        self._look_at_unclaimed()
        for path in self.mender.stale_staging():
            self._find("stale_staging", _printable(path), "an attempt that never ended left it", REPAIR, path)
        if self.mender.repair and not self.damaged and not self.broken:
            self.mender.drop_markers(self.proven.has_content)
        return VerifyReport(
            tuple(self.findings),
            tuple(self.pending),
            tuple(self.notices),
            tuple(self.reload.values()),
            self.proven.counts(),
            dict(self.totals),
            self.read,
        )

    def _note(self, into: list[Finding], finding: Finding) -> None:
        self.totals[finding.kind] += 1
        if self.totals[finding.kind] <= LISTED:
            into.append(finding)

    # What has changed --------------------------------------------------------------------------------------------

    def _compare_files(self) -> None:
        for prefix, quarantine in self._file_prefixes():
            listed = self.processed.list(self.bucket, prefix)
            for some in _chunks(self.proven.file_differences(listed, prefix)):
                with self.proven.write():
                    for key, info, same in some:
                        if info is None:
                            self.proven.file_gone(key)
                        elif not same:
                            self.proven.file_changed(info, quarantine=quarantine)

    def _file_prefixes(self) -> Iterator[tuple[str, bool]]:
        """The prefixes of data and of quarantine files; none of them begins with another."""
        for quarantine, prefix_of in ((False, layout.dataset_prefix), (True, layout.quarantine_prefix)):
            last = ""
            for prefix in sorted(map(prefix_of, self.contracts)):
                if not last or not prefix.startswith(last):
                    yield prefix, quarantine
                    last = prefix

    def _compare_records(self) -> None:
        for dataset in sorted(self.contracts):
            prefix = layout.commit_prefix(dataset)
            listed = (info for info in self.processed.list(self.bucket, prefix) if _is_record(info.key, prefix))
            differences = self.proven.record_differences(dataset, listed, lambda info: _identity(info.key))
            for some in _chunks(differences):
                with self.proven.write():
                    for identity, info, same in some:
                        if info is None:
                            self.proven.record_gone(dataset, identity)
                            continue
                        self.progress(info.key)
                        if not same:
                            self.proven.record_seen(dataset, identity, info)
        aged = utc_now() - RESTED
        count = max(LEAST_SAMPLE, int(self.proven.counts()["records"] * SAMPLE))
        self.sample = set(self.proven.oldest(aged.timestamp(), count))
        self.proven.take_back(self.sample)

    def _compare_landed(self) -> None:
        for some in _chunks(self.proven.landed_differences(self.raw.list(self.raw_bucket))):
            with self.proven.write():
                for key, info, same in some:
                    dataset = layout.dataset_of(key, self.contracts)
                    if info is None:
                        self.proven.landed_gone(key, object_id(key))
                    elif not layout.is_source(key):
                        continue
                    elif dataset is None:
                        self._note(
                            self.notices, Finding("no_contract", key, "no contract describes this file's folder")
                        )
                    else:
                        self.progress(key)
                        if not same:
                            self.proven.landed_seen(info, dataset, object_id(key))

    # Records -----------------------------------------------------------------------------------------------------

    def _prove(self) -> None:
        prover = Prover(self.processed, self.bucket, self._size_of)
        for rows in self.proven.unproven():
            found = list(prover.each(self._read, rows))
            with self.proven.write():
                self._prove_some(prover, list(zip(rows, found, strict=True)))
        for row in self.proven.skipped():
            self._look_at_skipped(row)

    def _read(self, row: RecordRow) -> CommitRecord | CorruptRecord | None:
        """A record as it is now; None where it is gone, or is that of a deleted object."""
        self.read += 1
        try:
            stored = read_stored(self.processed, self.bucket, row.dataset, row.object_id)
        except CorruptRecord as error:
            return error
        return stored.record if stored else None

    def _prove_some(self, prover: Prover, found: list[tuple[RecordRow, CommitRecord | CorruptRecord | None]]) -> None:
        good: dict[RecordRow, CommitRecord] = {}
        for row, record in found:
            if record is None:
                self.proven.record_gone(row.dataset, row.object_id)
            elif isinstance(record, CorruptRecord):
                self._damage(row, record.message)
            elif record.deleted:
                self.proven.record_deleted(row, utc_now().timestamp())
            elif misfiled := misplaced(record, row.dataset, row.object_id):
                self._damage(row, misfiled)
            else:
                good[row] = record
        faults = self._faults(prover, good)
        for row, record in good.items():
            shared = self._shared(row, record)
            self.proven.record_read(
                row,
                etag=record.source.etag,
                rows=record.rows_read,
                keys=[key for key in record.keys if key not in shared],
                contents=[portion.content_sha256 for portion in portions_of(record)],
                skipped=bool(record.duplicate_of),
            )
            if not self.proven.landed_is_open(record.source.key):
                self.proven.set_landed(row, landed=False)
            wrong = [*faults[row], *(("shared_file", key, told) for key, told in shared.items())]
            if wrong:
                for fault in wrong:
                    self._break(row, record.source.key, fault)
            else:
                self.proven.record_holds(row, utc_now().timestamp())

    def _faults(self, prover: Prover, records: dict[RecordRow, CommitRecord]) -> dict[RecordRow, list[Fault]]:
        aged = {row: record for row, record in records.items() if self.deep or row in self.sample}
        fresh = {row: record for row, record in records.items() if row not in aged}
        faults: dict[RecordRow, list[Fault]] = {}
        for some, deep in ((fresh, False), (aged, True)):
            faults |= dict(zip(some, prover.faults(list(some.values()), deep=deep), strict=True))
        for row, wrong in faults.items():
            if wrong:  # the record may have been replaced, and its files deleted, while we looked
                now = self._read(row)
                if isinstance(now, CommitRecord) and not now.deleted and now != records[row]:
                    records[row] = now
                    faults[row] = prover.faults([now], deep=self.deep)[0]
                elif not isinstance(now, CommitRecord) or now.deleted:
                    faults[row] = []  # the next proof tells
        return faults

    def _size_of(self, key: str) -> int | None:
        size = self.proven.size_of(key)
        if size is not None:
            return size
        try:
            info = self.processed.head(self.bucket, key)
        except ObjectNotFound:
            return None
        self.proven.file_changed(info, quarantine=key.startswith(layout.QUARANTINE))
        return info.size

    def _shared(self, row: RecordRow, record: CommitRecord) -> dict[str, str]:
        """The files that the record names and that are another's."""
        found: dict[str, str] = {}
        for key in record.keys:
            holder = self.proven.holder_of(key)
            if layout.owner_of(key) != row.object_id[:20]:
                found[key] = f"the record of {record.source.key} names it, but it is another's"
            elif holder is not None and holder.dataset != row.dataset:
                found[key] = f"records of {holder.dataset} and {row.dataset} name it"
        return found

    def _look_at_skipped(self, row: RecordRow) -> None:
        record = self._read(row)
        if not isinstance(record, CommitRecord) or not record.duplicate_of:
            return
        if not still_holds(self.processed, self.bucket, record):
            detail = f"its rows were to be those of {record.duplicate_of}, which are gone"
            self._break(row, record.source.key, ("skipped_but_gone", record.source.key, detail))

    def _break(self, row: RecordRow, key: str, fault: Fault) -> None:
        if row in self.broken or len(self.broken) < MANY:
            self.broken.setdefault(row, (key, []))[1].append(fault)

    def _damage(self, row: RecordRow, detail: str) -> None:
        self.proven.record_damaged(row)
        if len(self.damaged) < MANY:
            self.damaged[row] = detail

    def _tell_broken(self) -> None:
        """Records that do not hold, now that it is known whether their objects are there to be loaded again."""
        for row, (key, faults) in self.broken.items():
            landed = self.proven.landed_is_open(key)
            if landed:
                self.reload[key] = Reload(row.dataset, key)
            for kind, place, detail in faults:
                fix = f"{RELOAD} --key {key}" if landed else f"{GONE} {key}"
                self._note(self.findings, Finding(kind, place, detail, fix))
        if self.damaged:
            self._tell_damaged()

    def _tell_damaged(self) -> None:
        """Set a record aside only where its object is there to be loaded again: its files may be all that is left."""
        landed = {(dataset, object_id(key)): key for dataset, key in self._landed_of_damaged()}
        for row, detail in self.damaged.items():
            place = layout.commit_key(row.dataset, row.object_id)
            key = landed.get((row.dataset, row.object_id))
            if key is None:
                detail += "; the object that it is about is not in the raw zone"
                finding = Finding("damaged_record", place, detail, f"land the object again, then {REPAIR}")
            else:
                self.reload[key] = Reload(row.dataset, key)
                repaired = self.mender.set_aside(row)
                finding = Finding("damaged_record", place, detail, REPAIR, repaired=repaired)
            self._note(self.findings, finding)

    def _landed_of_damaged(self) -> Iterator[tuple[str, str]]:
        wanted = {(row.dataset, row.object_id) for row in self.damaged}
        for key, dataset in self.proven.landed_keys():
            if (dataset, object_id(key)) in wanted:
                yield dataset, key

    # Landed objects ----------------------------------------------------------------------------------------------

    def _look_at_landed(self) -> None:
        for some in _chunks(self.proven.open_landed()):
            with self.proven.write():
                bare = dict(item for item in some if not self._is_committed(*item))
            self._tell_not_loaded(bare)
        for path, reason in self.raw.strays(self.raw_bucket):
            detail = f"left out of the lake: {reason}"
            self._note(self.notices, Finding("unusable_path", _printable(path), detail, "rename or replace it"))
        for row in self.proven.gone():
            self._tell_gone(row)

    def _tell_not_loaded(self, bare: dict[str, str]) -> None:
        """Landed objects without a record, with their datasets."""
        lost = self.lost(list(bare)) if bare else ()
        for key, dataset in bare.items():
            if key not in lost:
                finding = Finding("not_loaded", key, "no version of it is committed", "lakehead ingest")
                self._note(self.pending, finding)
                continue
            detail = "it was loaded, and its commit record is gone"
            self._note(self.findings, Finding("lost_record", key, detail, f"{RELOAD} --key {key}"))
            if len(self.reload) < MANY:
                self.reload[key] = Reload(dataset, key)

    def _is_committed(self, key: str, dataset: str) -> bool:
        """Whether a landed object has a record at all; one of another version is told, one of this noted."""
        found = self.proven.record_of(dataset, object_id(key))
        if found is None:
            return False
        row, committed = found
        self.proven.set_landed(row, landed=True)
        if committed is None:
            return True  # its record is damaged
        try:
            etag = self.raw.head(self.raw_bucket, key).etag
        except ObjectNotFound:
            return True
        if mark(etag) != committed:
            detail = f"another version is committed than {etag[:12]}, which is there"
            self._note(self.pending, Finding("outdated", key, detail, "lakehead ingest"))
        else:
            self.proven.landed_is_loaded(key)
        return True

    def _tell_gone(self, row: RecordRow) -> None:
        place = layout.commit_key(row.dataset, row.object_id)
        if self.totals["source_gone"] < LISTED:
            record = self._read(row)
            if isinstance(record, CommitRecord) and not record.deleted:
                place = record.source.key
        detail = "its rows are committed, but the landed object is gone"
        self._note(self.notices, Finding("source_gone", place, detail))

    # Left over ---------------------------------------------------------------------------------------------------

    def _look_at_unclaimed(self) -> None:
        for key in self.proven.unclaimed():
            if layout.owner_of(key) is None:
                detail = "not one of Lakehead's files, but where tables read"
                self._note(self.findings, Finding("foreign_file", key, detail, "move it away"))
            elif self.mender.remove_orphan(key, self.proven.ids_like):
                self._note(
                    self.findings,
                    Finding("orphan_file", key, "no commit record names it", REPAIR, repaired=self.mender.repair),
                )

    def _find(self, kind: str, place: str, detail: str, fix: str, path: Path) -> None:
        repaired = self.mender.repair and not path.exists()
        self._note(self.findings, Finding(kind, place, detail, fix, repaired=repaired))

    def _look_at_deletions(self, forget: Forget) -> None:
        eraser = Eraser(raw=self.raw, processed=self.processed, raw_bucket=self.raw_bucket, bucket=self.bucket)
        for dataset in sorted(self.contracts):
            unfinished = list(eraser.unfinished(dataset))
            if self.mender.repair:
                eraser.finish(unfinished, forget)
            for left in unfinished:
                detail = f"the deletion that was begun {left.at} was cut short"
                fix = f"lakehead delete {left.landed_key}, or {REPAIR}"
                finding = Finding("unfinished_deletion", left.place, detail, fix, repaired=self.mender.repair)
                self._note(self.findings, finding)


def _chunks(items: Iterator[_Item]) -> Iterator[list[_Item]]:
    while some := list(islice(items, CHUNK)):
        yield some


def _is_record(key: str, prefix: str) -> bool:
    """Whether a key is of this dataset's records, and not of those of a dataset below it, `sales/orders/returns`."""
    name = key.removeprefix(prefix)
    return "/" not in name and name.endswith(".json")


def _identity(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json")


def _printable(path: Path) -> str:
    return str(path).encode(errors="backslashreplace").decode()
