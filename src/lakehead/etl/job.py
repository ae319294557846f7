"""The job: exactly one version of one object in, its rows committed, or the reason why not."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from lakehead.contract import Contract
from lakehead.errors import Busy, CommitConflict, DuplicateContent, ObjectChanged, ObjectNotFound, PreconditionFailed
from lakehead.etl.base import CommitRecord, Engine, EngineResult, JobOutcome, JobRequest
from lakehead.etl.commit import (
    Candidate,
    Outcome,
    PublishPlan,
    Stored,
    decide,
    plan_nothing,
    plan_publish,
    publish,
    read_stored,
)
from lakehead.etl.content import claim, first_key
from lakehead.etl.staged import checked
from lakehead.model import ObjectVersion, iso, sequencer_order, utc_now
from lakehead.private import make_folder
from lakehead.storage.base import ObjectInfo, ObjectStore
from lakehead.storage.disk import explained
from lakehead.storage.etags import sha256_file

TRIES = 3
NOTHING = EngineResult(0, 0, 0, (), None)

_log = logging.getLogger(__name__)


def run_job(
    request: JobRequest,
    *,
    contract: Contract,
    engine: Engine,
    raw: ObjectStore,
    processed: ObjectStore,
    processed_bucket: str,
) -> JobOutcome:
    """Load the version that the request asks for, and commit its rows.

    The source's `etag`, `version_id` and `sequencer` may be empty: then the object is taken as it is now.

    Raises SourceError (the file cannot be loaded), ObjectNotFound, ObjectChanged (it is another version by now),
    RewriteRefused, DuplicateContent, CountMismatch, CorruptRecord, and what stores raise. Nothing is committed then.
    """
    job = Job(request, contract, engine, raw, processed, processed_bucket)
    for tries_left in reversed(range(TRIES)):
        try:
            return job.run()
        except CommitConflict:
            if not tries_left:
                raise
            _log.warning("another attempt committed in between; deciding again")
    raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class Read:
    """The source on this machine, as it was when the engine began to read it, and where the engine stages its files."""

    path: Path
    source: ObjectVersion
    content_sha256: str
    fingerprint: str
    out: Path


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the engine made of the source; nothing where the rows of another key stand for it."""

    result: EngineResult
    duplicate_of: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One version's load, step by step."""

    request: JobRequest
    contract: Contract
    engine: Engine
    raw: ObjectStore
    processed: ObjectStore
    bucket: str

    def run(self) -> JobOutcome:
        """Load and commit. Raises CommitConflict where another attempt committed in between, and see `run_job`."""
        try:
            return self._run()
        except (ObjectNotFound, ObjectChanged):
            ended = self._end_deleted()
            if ended is None:
                raise
            return ended

    def _run(self) -> JobOutcome:
        with contextlib.ExitStack() as stack:
            read = self.open(stack)
            if isinstance(read, JobOutcome):
                return read
            loaded = self._load(read)
            self.check_unchanged(read)
            with self._content_lock(read.content_sha256), self._object_lock():
                return publish(self.plan(read, loaded), self.processed)

    def open(self, stack: contextlib.ExitStack) -> Read | JobOutcome:
        """What is to be loaded, and where its files are staged until `stack` ends; the outcome if there is nothing."""
        before = self._stored()
        ended = self._end_early(before, self.request.source)
        if ended is not None:
            return ended
        source, info = self._resolve()
        staging = stack.enter_context(self._staging())
        read = self._fetch(source, info, staging)
        ended = self._end_early(before, read.source, read.content_sha256)
        if ended is not None:
            return ended
        make_folder(read.out)
        return read

    def where(self) -> dict[str, str]:
        """The fields that every error of this job carries."""
        source = self.request.source
        return {"dataset": self.request.dataset, "bucket": source.bucket, "key": source.key}

    def _end_early(self, before: Stored | None, source: ObjectVersion, content_sha256: str = "") -> JobOutcome | None:
        """The outcome where this version's rows are there already, or too old; reads no raw object.

        `before` is the record as it was at the beginning: whatever it says is asked again under the object's lock.
        """
        if self._nothing_to_do(before, source, content_sha256) is None:
            return None
        with self._object_lock():
            stored = self._stored()
            outcome = self._nothing_to_do(stored, source, content_sha256)
            if outcome is None or stored is None:
                return None
            return publish(
                plan_nothing(outcome, stored, self._told(source, stored), bucket=self.bucket), self.processed
            )

    def _end_deleted(self) -> JobOutcome | None:
        """The outcome where the object is gone because it was deleted for good, with this version of it."""
        source, stored = self.request.source, self._stored()
        if stored is None or not stored.record.deleted:
            return None
        if source.sequencer and decide(stored.record, source, "", self.contract) is Outcome.COMMITTED:
            return None
        return publish(plan_nothing(Outcome.SUPERSEDED, stored, source, bucket=self.bucket), self.processed)

    def _nothing_to_do(self, stored: Stored | None, source: ObjectVersion, content_sha256: str) -> Outcome | None:
        if stored is None or not source.etag:
            return None
        record = stored.record
        if record.deleted:
            old = source.sequencer and decide(record, source, "", self.contract) is Outcome.SUPERSEDED
            return Outcome.SUPERSEDED if old else None
        content = content_sha256 or (source.etag if self.raw.etag_is_sha256 else "")
        if not content and source.etag == record.source.etag:
            content = record.content_sha256
        if not content:  # S3: other bytes, or the same bytes uploaded in other parts; older either way
            older = sequencer_order(source.sequencer) < sequencer_order(record.source.sequencer)
            return Outcome.SUPERSEDED if older and source.sequencer and not self.request.force else None
        if not source.sequencer:
            source = replace(source, sequencer=record.source.sequencer)
        outcome = decide(record, source, content, self.contract, force=self._again(record, content))
        return None if outcome is Outcome.COMMITTED else outcome

    def _again(self, record: CommitRecord, content_sha256: str) -> bool:
        """Whether to load even what is committed: a replay, or the rows that stood for this object's are gone."""
        if self.request.force or not record.duplicate_of:
            return self.request.force
        return self._first_key(content_sha256) is None

    def _told(self, source: ObjectVersion, stored: Stored) -> ObjectVersion:
        return source if source.size else replace(source, size=stored.record.source.size)

    def _resolve(self) -> tuple[ObjectVersion, ObjectInfo]:
        asked = self.request.source
        try:
            info = self.raw.head(asked.bucket, asked.key, version_id=asked.version_id)
        except ObjectNotFound as error:
            raise ObjectNotFound(
                "the object to load is gone",
                hint="Land it again.",
                **self.where(),
                version_id=asked.version_id or None,
            ) from error
        if asked.etag and info.etag != asked.etag:
            raise self._changed(asked.etag, info.etag)
        source = replace(
            asked,
            etag=info.etag,
            size=info.size,
            sequencer=asked.sequencer or self._newest(info.sequencer),
            version_id=asked.version_id or info.version_id,
        )
        return source, info

    def _newest(self, sequencer: str) -> str:
        """The sequencer of an object that is taken as it is now: never older than what is committed or was deleted."""
        stored = self._stored()
        known = stored.record.source.sequencer if stored else ""
        if stored is not None and stored.record.deleted:
            known = f"{sequencer_order(known) + 1:0{len(known)}x}"
        return max(sequencer, known, key=sequencer_order)

    def _changed(self, expected: str, received: str) -> ObjectChanged:
        return ObjectChanged(
            "the object is no longer the version that was asked for",
            hint="Its newer version has an event of its own; or load it now with: lakehead ingest",
            **self.where(),
            expected=expected,
            received=received,
        )

    @contextlib.contextmanager
    def _staging(self) -> Iterator[Path]:
        path = self.processed.staging_dir(self.bucket, self.request.attempt)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)  # what stays is found by verify

    def _fetch(self, source: ObjectVersion, info: ObjectInfo, staging: Path) -> Read:
        path = self.raw.local_path(source.bucket, source.key)
        if path is not None and self.raw.etag_is_sha256:
            return Read(path, source, info.etag, info.fingerprint, staging / "out")
        path = staging / ("source" + "".join(PurePosixPath(source.key).suffixes[-2:]))
        try:
            reading = self.raw.open(source.bucket, source.key, version_id=source.version_id, if_match=source.etag)
        except PreconditionFailed as error:
            raise self._changed(source.etag, "another") from error
        with contextlib.closing(reading), explained(self.bucket, path=path), path.open("xb") as writing:
            content = sha256_file(reading, writing)
        return Read(path, source, content, "", staging / "out")

    def check_unchanged(self, read: Read) -> None:
        """A local file is read in place, so it may have changed under the engine's hands. A copy cannot."""
        if not read.fingerprint:
            return
        try:
            info = self.raw.head(read.source.bucket, read.source.key)
        except ObjectNotFound as error:
            raise self._changed(read.source.etag, "no object") from error
        if info.etag != read.source.etag:
            raise self._changed(read.source.etag, info.etag)
        if info.fingerprint != read.fingerprint:  # for a moment it may have held other bytes
            raise Busy("the object was written or touched while it was read", hint="Load it again.", **self.where())

    def _load(self, read: Read) -> Loaded:
        if self.contract.on_duplicate_content != "load":
            other = self._first_key(read.content_sha256)
            if other is not None:
                return Loaded(self._skipped(other), other)
        result = self.engine.load(read.path, self.contract, origin=read.source, staging=read.out)
        with explained(self.bucket, path=read.out):
            return Loaded(checked(result, read.out, **self.where()))

    def _first_key(self, content_sha256: str) -> str | None:
        source, dataset = self.request.source, self.request.dataset
        return first_key(self.processed, self.bucket, dataset, content_sha256, source.key)

    def _skipped(self, other: str) -> EngineResult:
        if self.contract.on_duplicate_content == "refuse":
            raise DuplicateContent(
                "the same bytes are loaded from another key, and the contract says onDuplicateContent: refuse",
                hint="Remove one of the two, or set onDuplicateContent to load or skip.",
                **self.where(),
                other=other,
            )
        return replace(NOTHING, warnings=(f"skipped: the same bytes are loaded from {other}",))

    def plan(self, read: Read, loaded: Loaded) -> PublishPlan:
        """What is to be done to commit. To be made and carried out under the object's lock."""
        stored = self._stored()
        record = stored.record if stored else None
        force = self._again(record, read.content_sha256) if record else self.request.force
        candidate = Candidate(
            replace(self.request, source=read.source),
            self.contract,
            read.content_sha256,
            self.engine.name,
            loaded.result,
            iso(utc_now()),
            loaded.duplicate_of,
        )
        if decide(record, read.source, read.content_sha256, self.contract, force=force) is Outcome.COMMITTED:
            candidate = self._beside_others(candidate)
        return plan_publish(stored, candidate, bucket=self.bucket, force=force)

    def _beside_others(self, candidate: Candidate) -> Candidate:
        """The candidate with what follows from the same bytes being loaded from another key."""
        result, source = candidate.result, self.request.source
        if not result.rows_read and not candidate.duplicate_of:
            return candidate  # empty files are all alike
        content, dataset = candidate.content_sha256, self.request.dataset
        warns = self.contract.on_duplicate_content == "load"
        other = claim(self.processed, self.bucket, dataset, content, source.key, durable=not warns)
        if other is None:
            if candidate.duplicate_of:
                raise CommitConflict("the rows that were to stand for this object's are gone", **self.where())
            return candidate
        if warns:
            warning = f"the same bytes are loaded from {other} too, so their rows count twice"
            return replace(candidate, result=replace(result, warnings=(*result.warnings, warning)))
        return replace(candidate, result=self._skipped(other), duplicate_of=other)

    def _stored(self) -> Stored | None:
        return read_stored(self.processed, self.bucket, self.request.dataset, self.request.source.id)

    def _object_lock(self) -> contextlib.AbstractContextManager[None]:
        return self.processed.lock(self.bucket, object_lock(self.request.source.id))

    def _content_lock(self, content_sha256: str) -> contextlib.AbstractContextManager[None]:
        if self.contract.on_duplicate_content == "load":
            return contextlib.nullcontext()
        return self.processed.lock(self.bucket, f"content-{content_sha256}")


def object_lock(object_id: str) -> str:
    """The lock that whoever changes an object's record and files holds. The first 20 digits of its id are enough."""
    return f"object-{object_id[:20]}"
