"""Many jobs at once: each ends as if it had run alone, and they share what costs most, the query and the disk."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from lakehead.contract import Contract
from lakehead.errors import CommitConflict, LakeheadError, ObjectChanged, ObjectNotFound
from lakehead.etl.base import Engine, EngineResult, JobOutcome, JobRequest, Load
from lakehead.etl.commit import PublishPlan, publish_all
from lakehead.etl.job import Job, Loaded, Read, object_lock, run_job
from lakehead.etl.staged import checked_all
from lakehead.logs import log_context
from lakehead.storage.base import ObjectStore
from lakehead.storage.disk import explained

_log = logging.getLogger(__name__)


def run_jobs(
    requests: Sequence[JobRequest],
    *,
    contract: Contract,
    engine: Engine,
    raw: ObjectStore,
    processed: ObjectStore,
    processed_bucket: str,
) -> list[JobOutcome | Exception]:
    """Load versions of objects of one dataset, each as by `run_job`; for each its outcome, or what that would raise.

    No object's fault spoils another's load: what cannot be done together is done one by one, after the others.
    """
    jobs = [Job(request, contract, engine, raw, processed, processed_bucket) for request in requests]
    batch = _Batch(contract, engine, processed, processed_bucket)
    # Where the same bytes may be loaded once only, or a key comes twice, one has to wait for the other.
    first = {job.request.source.id: number for number, job in reversed([*enumerate(jobs)])}
    if len(first) > 1 and contract.on_duplicate_content == "load":
        try:
            batch.run({number: jobs[number] for number in sorted(first.values())})
        except LakeheadError as error:
            _log.warning("loading %d files together failed, so each is loaded by itself: %s", len(first), error)
        except Exception:
            _log.exception("loading %d files together failed, so each is loaded by itself", len(first))
    return [batch.outcomes.get(number) or _alone(job) for number, job in enumerate(jobs)]


def _alone(job: Job) -> JobOutcome | Exception:
    with _logged(job):
        try:
            return run_job(
                job.request,
                contract=job.contract,
                engine=job.engine,
                raw=job.raw,
                processed=job.processed,
                processed_bucket=job.bucket,
            )
        except Exception as error:
            return error


def _logged(job: Job) -> contextlib.AbstractContextManager[None]:
    request = job.request
    return log_context(execution=request.execution, object=str(request.source), dataset=request.dataset)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Jobs of different objects. `outcomes` tells what became of them, but for those that are to be run alone."""

    contract: Contract
    engine: Engine
    processed: ObjectStore
    bucket: str
    outcomes: dict[int, JobOutcome | Exception] = field(default_factory=dict)

    def run(self, jobs: dict[int, Job]) -> None:
        with contextlib.ExitStack() as stack:
            opened = self._open(jobs, stack)
            loaded = self._load(jobs, opened)
            locks = {number: object_lock(jobs[number].request.source.id) for number in loaded}
            # To wait for one would be to keep others waiting for the rest.
            with self.processed.try_lock(self.bucket, *locks.values()) as held:
                free = {number: one for number, one in loaded.items() if locks[number] in held}
                self._publish(self._plan(jobs, opened, free))

    def _open(self, jobs: dict[int, Job], stack: contextlib.ExitStack) -> dict[int, Read]:
        opened: dict[int, Read] = {}
        contents: set[str] = set()
        for number, job in jobs.items():
            with _logged(job):
                try:
                    found = job.open(stack)
                except (ObjectNotFound, ObjectChanged):
                    continue  # alone, it looks whether the object was deleted for good
                except LakeheadError as error:
                    self.outcomes[number] = error
                    continue
            if isinstance(found, JobOutcome):
                self.outcomes[number] = found
            elif found.content_sha256 not in contents:
                # The same bytes under another key: alone, after this one, it is told so.
                contents.add(found.content_sha256)
                opened[number] = found
        return opened

    def _load(self, jobs: dict[int, Job], opened: dict[int, Read]) -> dict[int, Loaded]:
        loads = [Load(read.path, read.source, read.out) for read in opened.values()]
        with log_context(dataset=self.contract.dataset):
            results = dict(zip(opened, self.engine.load_together(loads, self.contract), strict=True))
        good = {number: result for number, result in results.items() if isinstance(result, EngineResult)}
        self.outcomes.update((number, result) for number, result in results.items() if isinstance(result, Exception))
        with log_context(dataset=self.contract.dataset), explained(self.bucket):
            listed = [(result, opened[number].out, jobs[number].where()) for number, result in good.items()]
            checked = checked_all(listed)
        loaded = {}
        for number, result in zip(good, checked, strict=True):
            with _logged(jobs[number]):
                try:
                    jobs[number].check_unchanged(opened[number])
                except (ObjectNotFound, ObjectChanged):
                    continue
                except LakeheadError as error:
                    self.outcomes[number] = error
                    continue
            if isinstance(result, LakeheadError):
                self.outcomes[number] = result
            else:
                loaded[number] = Loaded(result)
        return loaded

    def _plan(self, jobs: dict[int, Job], opened: dict[int, Read], loaded: dict[int, Loaded]) -> dict[int, PublishPlan]:
        plans = {}
        for number, it in loaded.items():
            with _logged(jobs[number]):
                try:
                    plans[number] = jobs[number].plan(opened[number], it)
                except CommitConflict:
                    continue
                except LakeheadError as error:
                    self.outcomes[number] = error
        return plans

    def _publish(self, plans: dict[int, PublishPlan]) -> None:
        told: Sequence[JobOutcome | Exception]
        try:
            told = publish_all(list(plans.values()), self.processed)
        except Exception as error:
            # A record may be there and not be durable. Run again at once, its job would only find it; a retry is told.
            _log.exception("publishing %d files together failed", len(plans))
            told = [error] * len(plans)
        for number, one in zip(plans, told, strict=True):
            if not isinstance(one, CommitConflict):
                self.outcomes[number] = one
