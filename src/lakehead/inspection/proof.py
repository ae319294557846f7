"""What a verification found, and which tables are not what the commit records say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lakehead.catalog import Catalog
from lakehead.contract import Contract
from lakehead.etl.proven import Proven
from lakehead.etl.verify import VerifyReport as Verification
from lakehead.results import VerifyFinding, VerifyReport

_COMMITTED = (
    "SELECT key FROM main.files AS f JOIN records AS r ON r.id = f.record WHERE r.dataset = ?1 AND quarantine = ?2"
)
_NAMED = "SELECT key FROM catalog.files WHERE table_name = ?3"


def stale_tables(catalog: Catalog, contracts: Mapping[str, Contract], proofs: Path, about: str) -> list[VerifyFinding]:
    """Tables that do not name just the files that commit records name: a crawl was missed.

    What the records name is taken from the proofs of a verification that has just been made.
    """
    proven = Proven(proofs, about)
    try:
        proven.rows("ATTACH ? AS catalog", (str(catalog.path),))
        found = []
        for dataset, contract in contracts.items():
            for table, quarantine in ((contract.processed_table, 0), (contract.quarantine_table, 1)):
                values = (dataset, quarantine, table)
                many = proven.one(f"SELECT count(*) FROM ({_NAMED} EXCEPT {_COMMITTED})", values)
                few = proven.one(f"SELECT count(*) FROM ({_COMMITTED} EXCEPT {_NAMED})", values)
                if many or few:
                    detail = f"names {many:,} files too many and {few:,} too few"
                    found.append(VerifyFinding("stale table", table, detail, "lakehead catalog crawl --full"))
        return found
    finally:
        proven.close()


def verified(report: Verification, stale: Sequence[VerifyFinding], after: VerifyReport | None = None) -> VerifyReport:
    """What a verification found, for people; with a second one `after` a repair, what of it is mended.

    An object that is not loaded yet, or cannot be, breaks no invariant: it is counted, and `lakehead runs` tells why.
    """
    findings = [VerifyFinding(one.kind, one.place, one.detail, one.fix, one.repaired) for one in report.findings]
    found = [*findings, *stale]
    if after is not None:
        left = {(one.kind, one.place) for one in after.findings}
        mended = [
            VerifyFinding(one.kind, one.place, one.detail, one.fix, repaired=(one.kind, one.place) not in left)
            for one in found
        ]
        known = {(one.kind, one.place) for one in found}
        found = [*mended, *(one for one in after.findings if (one.kind, one.place) not in known)]
        return VerifyReport(tuple(found), after.checked, after.read, after.totals)
    waiting = sum(report.totals.get(kind, 0) for kind in ("not_loaded", "outdated"))
    gone = report.totals.get("source_gone", 0)
    counted = {"objects not loaded": waiting} if waiting else {}
    counted |= {"landed files gone": gone} if gone else {}
    totals = {kind: count for kind, count in report.totals.items() if any(one.kind == kind for one in findings)}
    return VerifyReport(tuple(found), {**report.checked, **counted}, report.read, totals)
