"""Proves a lake's invariants from what its buckets hold, and mends what a crash left."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from lakehead.contract import Contract
from lakehead.errors import CorruptRecord, ObjectNotFound
from lakehead.etl.base import CommitRecord
from lakehead.etl.commit import list_object_commits, read_commit, scan_commits
from lakehead.etl.content import marked_key, still_holds
from lakehead.etl.job import object_lock
from lakehead.etl.proof import Fault, RecordProof
from lakehead.model import object_id, utc_now
from lakehead.storage import layout
from lakehead.storage.base import ObjectInfo, ObjectStore

STALE_AFTER = timedelta(hours=1)
RELOAD = "lakehead replay"
REPAIR = "lakehead verify --repair"


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
    cannot be). `notices` break nothing. `reload` are the objects to load again. `checked` counts what was looked at.
    """

    findings: tuple[Finding, ...] = ()
    pending: tuple[Finding, ...] = ()
    notices: tuple[Finding, ...] = ()
    reload: tuple[Reload, ...] = ()
    checked: Mapping[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True where nothing breaks an invariant, or everything that did was repaired."""
        return all(finding.repaired for finding in self.findings)

    def with_lost(self, lost: Sequence[Reload]) -> VerifyReport:
        """The same report, where objects are told as broken that were loaded once and have no record any more."""
        keys = {one.key for one in lost}
        detail = "it was loaded, and its commit record is gone"
        told = [Finding("lost_record", key, detail, f"{RELOAD} --key {key}") for key in sorted(keys)]
        return replace(
            self,
            findings=(*self.findings, *told),
            pending=tuple(one for one in self.pending if one.place not in keys),
            reload=tuple(dict.fromkeys([*self.reload, *lost])),
        )

    def mended_but_for(self, later: VerifyReport) -> VerifyReport:
        """The same report, after its objects were loaded again: what a later look did not find any more is repaired."""
        left = {(finding.kind, finding.place) for finding in later.findings}
        return replace(
            self,
            findings=tuple(
                replace(one, repaired=one.repaired or (one.kind, one.place) not in left) for one in self.findings
            ),
        )


def verify(
    *,
    contracts: Mapping[str, Contract],
    raw: ObjectStore,
    processed: ObjectStore,
    raw_bucket: str,
    processed_bucket: str,
    repair: bool = False,
    deep: bool = False,
    stale_after: timedelta = STALE_AFTER,
    progress: Callable[[str], None] = lambda _: None,
) -> VerifyReport:
    """Check every landed object, commit record and file of the datasets that `contracts` describes.

    - Every landed object's current version has a commit record, or is pending.
    - Every record accounts for its rows; its files exist, have its sizes and (in their footers) its rows, lie in their
      partition, and belong to no other record. With `deep` their bytes are compared too.
    - No data, quarantine or staging file is left over.

    `repair` deletes what is left over, sets unreadable records aside, and tells in `reload` what to load again. It may
    run beside a working lake: what somebody works on is left alone, on a store without locks for `stale_after`.
    Staging counts as left over once nobody has touched it for `stale_after`.
    """
    scene = _Scene(contracts, raw, processed, raw_bucket, processed_bucket, repair, deep, stale_after, progress)
    return scene.look()


@dataclass
class _Scene:
    contracts: Mapping[str, Contract]
    raw: ObjectStore
    processed: ObjectStore
    raw_bucket: str
    bucket: str
    repair: bool
    deep: bool
    stale_after: timedelta
    progress: Callable[[str], None]

    findings: list[Finding] = field(default_factory=list)
    pending: list[Finding] = field(default_factory=list)
    notices: list[Finding] = field(default_factory=list)
    reload: dict[str, Reload] = field(default_factory=dict)
    checked: dict[str, int] = field(default_factory=dict)
    records: dict[tuple[str, str], CommitRecord] = field(default_factory=dict)
    damaged: dict[tuple[str, str], str] = field(default_factory=dict)
    claimed: dict[str, str] = field(default_factory=dict)

    def look(self) -> VerifyReport:
        """Files first, records second: whatever is committed in between then has its files in neither way missing."""
        self.checked = {"objects": 0, "records": 0, "files": 0, "rows": 0}
        listed = {info.key: info for info in self._files()}
        for dataset in sorted(self.contracts):
            self._look_at_records(dataset, listed)
        self._look_at_raw()
        for key in sorted(set(listed) - set(self.claimed)):
            self._look_at_unclaimed(listed[key])
        self._look_at_staging()
        if self.repair:
            self._drop_markers()
        return VerifyReport(
            tuple(self.findings),
            tuple(self.pending),
            tuple(self.notices),
            tuple(self.reload.values()),
            dict(self.checked),
        )

    # Records -----------------------------------------------------------------------------------------------------

    def _files(self) -> Iterator[ObjectInfo]:
        seen: set[str] = set()
        for dataset in sorted(self.contracts):
            for prefix in (layout.dataset_prefix(dataset), layout.quarantine_prefix(dataset)):
                for info in self.processed.list(self.bucket, prefix):
                    if info.key not in seen:
                        seen.add(info.key)
                        yield info

    def _look_at_records(self, dataset: str, listed: Mapping[str, ObjectInfo]) -> None:
        proof = RecordProof(self.processed, self.bucket, dataset, listed, deep=self.deep)
        for identity, record in scan_commits(self.processed, self.bucket, dataset):
            self.checked["records"] += 1
            self.progress(layout.commit_key(dataset, identity))
            if isinstance(record, CorruptRecord):
                self.damaged[dataset, identity] = record.message
                continue
            fault = _misfiled(record, dataset, identity)
            if fault:
                self.damaged[dataset, identity] = fault
                continue
            self._look_at_record(record, proof)

    def _look_at_record(self, record: CommitRecord, proof: RecordProof) -> None:
        faults = proof.faults(record)
        if faults:  # the record may have been replaced, and its files deleted, while we looked
            fresh = read_commit(self.processed, self.bucket, record.dataset, record.object_id)
            if fresh is None:
                return
            if fresh != record:
                record, faults = fresh, RecordProof(self.processed, self.bucket, record.dataset, {}).faults(fresh)
        self.records[record.dataset, record.object_id] = record
        self.checked["files"] += len(record.keys)
        self.checked["rows"] += record.rows_read
        faults += self._claim(record)
        for kind, place, detail in faults:
            self._broken(kind, place, detail, record.dataset, record.source.key)
        if record.duplicate_of and not still_holds(self.processed, self.bucket, record):
            detail = f"its rows were to be those of {record.duplicate_of}, which are gone"
            self._broken("skipped_but_gone", record.source.key, detail, record.dataset, record.source.key)

    def _claim(self, record: CommitRecord) -> list[Fault]:
        faults: list[Fault] = []
        for key in record.keys:
            if layout.owner_of(key) != record.object_id[:20]:
                faults.append(("shared_file", key, f"the record of {record.source.key} names it, but it is another's"))
            elif self.claimed.setdefault(key, record.dataset) != record.dataset:
                faults.append(("shared_file", key, f"records of {self.claimed[key]} and {record.dataset} name it"))
        return faults

    def _broken(self, kind: str, place: str, detail: str, dataset: str, key: str) -> None:
        self.findings.append(Finding(kind, place, detail, f"{RELOAD} --key {key}"))
        self.reload[key] = Reload(dataset, key)

    def _mend_damaged(self, landed: Collection[tuple[str, str]]) -> None:
        """Set a record aside only where its object is there to be loaded again: its files may be all that is left."""
        for (dataset, identity), detail in self.damaged.items():
            place = layout.commit_key(dataset, identity)
            if (dataset, identity) not in landed:
                detail += "; the object that it is about is not in the raw zone"
                self.findings.append(Finding("damaged_record", place, detail, f"land the object again, then {REPAIR}"))
                continue
            if self.repair:
                with self.processed.lock(self.bucket, object_lock(identity)):
                    aside = layout.damaged_key(dataset, identity, f"{utc_now():%Y%m%dT%H%M%S}")
                    self.processed.put(self.bucket, aside, self.processed.get(self.bucket, place))
                    self.processed.delete(self.bucket, place)
            self.findings.append(Finding("damaged_record", place, detail, REPAIR, repaired=self.repair))

    # Raw ---------------------------------------------------------------------------------------------------------

    def _look_at_raw(self) -> None:
        landed: set[tuple[str, str]] = set()
        for info in self.raw.list(self.raw_bucket):
            dataset = layout.dataset_of(info.key, self.contracts)
            if dataset is None or not layout.is_source(info.key):
                if dataset is None and layout.is_source(info.key):
                    self.notices.append(Finding("no_contract", info.key, "no contract describes this file's folder"))
                continue
            self.checked["objects"] += 1
            self.progress(info.key)
            identity = (dataset, object_id(info.key))
            landed.add(identity)
            if identity in self.damaged:
                self.reload[info.key] = Reload(dataset, info.key)
            else:
                self._look_at_landed(info, self.records.get(identity))
        self._mend_damaged(landed)
        for path, reason in self.raw.strays(self.raw_bucket):
            detail = f"left out of the lake: {reason}"
            self.notices.append(Finding("unusable_path", _printable(path), detail, "rename or replace it"))
        for identity, record in self.records.items():
            if identity not in landed:
                detail = "its rows are committed, but the landed object is gone"
                self.notices.append(Finding("source_gone", record.source.key, detail))

    def _look_at_landed(self, info: ObjectInfo, record: CommitRecord | None) -> None:
        if record is None:
            self.pending.append(Finding("not_loaded", info.key, "no version of it is committed", "lakehead ingest"))
            return
        try:
            etag = info.etag or self.raw.head(info.bucket, info.key).etag
        except ObjectNotFound:
            return
        if etag != record.source.etag:
            detail = f"version {record.source.etag[:12]} is committed, {etag[:12]} is there"
            self.pending.append(Finding("outdated", info.key, detail, "lakehead ingest"))

    # Left over ---------------------------------------------------------------------------------------------------

    def _look_at_unclaimed(self, info: ObjectInfo) -> None:
        owner = layout.owner_of(info.key)
        if owner is None:
            detail = "not one of Lakehead's files, but where tables read"
            self.findings.append(Finding("foreign_file", info.key, detail, "move it away"))
            return
        if self._may_be_at_work(info):
            return
        with self.processed.lock(self.bucket, object_lock(owner)):
            if not self._is_left_over(info.key, owner):
                return
            if self.repair:
                self.processed.delete(self.bucket, info.key)
        detail = "no commit record names it"
        self.findings.append(Finding("orphan_file", info.key, detail, REPAIR, repaired=self.repair))

    def _may_be_at_work(self, info: ObjectInfo) -> bool:
        """Whether somebody may be about to commit it: where nothing keeps others out, for as long as it is young."""
        return not self.processed.excludes and utc_now() - info.last_modified < self.stale_after

    def _is_left_over(self, key: str, owner: str) -> bool:
        try:
            now = self.processed.head(self.bucket, key)
        except ObjectNotFound:
            return False
        if self._may_be_at_work(now):
            return False  # written again, under the same name, since it was listed
        for dataset in self.contracts:
            for record in list_object_commits(self.processed, self.bucket, dataset, owner):
                if isinstance(record, CorruptRecord) or (dataset, record.object_id) in self.damaged:
                    return False
                if key in record.keys:
                    return False
        return True

    def _look_at_staging(self) -> None:
        for path in self.processed.stale_staging(self.bucket, self.stale_after):
            if self.repair:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
            detail = "an attempt that never ended left it"
            repaired = self.repair and not path.exists()
            self.findings.append(Finding("stale_staging", _printable(path), detail, REPAIR, repaired=repaired))

    def _drop_markers(self) -> None:
        """Content markers of rows that were replaced since. They do no harm, so they are no finding."""
        for dataset in self.contracts:
            prefix = layout.content_prefix(dataset)
            for info in list(self.processed.list(self.bucket, prefix)):
                content = info.key.removeprefix(prefix).removesuffix(".json")
                if "/" in content or utc_now() - info.last_modified < self.stale_after:
                    continue
                record = self.records.get((dataset, object_id(marked_key(self.processed.get(self.bucket, info.key)))))
                if record is None or content not in _contents(record):
                    self.processed.delete(self.bucket, info.key)


def _contents(record: CommitRecord) -> Collection[str]:
    return {record.content_sha256, *(portion.content_sha256 for portion in record.portions)}


def _misfiled(record: CommitRecord, dataset: str, identity: str) -> str:
    if record.dataset != dataset or record.object_id != identity or record.source.id != identity:
        return f"the record is about another object: {record.dataset} {record.source.key}"
    return ""


def _printable(path: Path) -> str:
    return str(path).encode(errors="backslashreplace").decode()
