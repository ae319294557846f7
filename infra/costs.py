"""What a deployed lake costs per file, and how long a file takes: prices as data, and arithmetic on them.

`python infra/costs.py` prints the table of docs/deploying.md. Prices are those of us-east-1 in US dollars; storage,
queries, logs and requests to S3 are left out, for they are the same in every design here.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

DPU_HOUR = 0.44
"""A data processing unit for an hour: crawls and jobs. A G.1X worker is one."""

CRAWL_MINUTES = 10.0
"""What a crawl is billed for at the least."""

CRAWL_DPUS = 2
JOB_MINUTES = 1.5
"""What a small file's run takes. Billed by the second, one minute at the least."""

JOB_WORKERS = 2
TRANSITION = 0.000025
"""A state transition of a Standard state machine."""

STARTUP_SECONDS = 45.0
"""Until a run's workers are there."""

CRAWL_SECONDS = 60.0
"""What a crawl of a small dataset takes, whatever it is billed for."""

POLL_SECONDS = 20.0
"""Our pause between two looks at a crawl."""

USUAL_POLL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Design:
    """A way to bring a file in. `crawls` are those that one execution asks for; `shared_by` the files that share them.

    `in_turn`: the job waits for the raw crawl, instead of running beside it.
    """

    name: str
    crawls: int
    shared_by: int = 1
    transitions: int = 45
    poll: float = POLL_SECONDS
    in_turn: bool = False

    @property
    def crawl(self) -> float:
        """What its crawls cost a file."""
        return self.crawls * max(CRAWL_MINUTES, CRAWL_SECONDS / 60) / 60 * CRAWL_DPUS * DPU_HOUR / self.shared_by

    @property
    def job(self) -> float:
        """What its job run costs a file."""
        return max(1.0, JOB_MINUTES) / 60 * JOB_WORKERS * DPU_HOUR

    @property
    def workflow(self) -> float:
        """What its state transitions cost a file."""
        return self.transitions * TRANSITION

    @property
    def total(self) -> float:
        """What a file costs."""
        return self.crawl + self.job + self.workflow

    @property
    def seconds(self) -> float:
        """From landed to told. A crawl that ended is noticed half a pause later, on average."""
        waited_for = self.crawls if self.in_turn else min(self.crawls, 1)
        return STARTUP_SECONDS + JOB_MINUTES * 60 + waited_for * (CRAWL_SECONDS + self.poll / 2)


EACH_FILE_CRAWLS = Design("two crawls for every file, in turn", crawls=2, poll=USUAL_POLL_SECONDS, in_turn=True)
DESIGNS = (
    EACH_FILE_CRAWLS,
    Design('`metadata_sync = "crawler"`, files land alone', crawls=2),
    Design('`metadata_sync = "crawler"`, 10 land together', crawls=2, shared_by=10),
    Design('`metadata_sync = "crawler"`, 100 land together', crawls=2, shared_by=100),
    Design('`metadata_sync = "direct"`', crawls=0, transitions=20),
)


def table() -> str:
    """The designs beside each other, as Markdown."""
    lines = [
        "| design | crawls | job | workflow | per file | per 1,000 files | beside the first | landed to told |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in DESIGNS:
        costs = f"${one.crawl:.4f} | ${one.job:.4f} | ${one.workflow:.4f} | ${one.total:.3f} | ${1000 * one.total:,.0f}"
        share = f"{one.total / EACH_FILE_CRAWLS.total:.0%}"
        lines.append(f"| {one.name} | {costs} | {share} | {one.seconds / 60:.1f} min |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
