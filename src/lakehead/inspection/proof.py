"""What a verification found, and which tables are not what the commit records say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lakehead.catalog import Catalog
from lakehead.contract import Contract
from lakehead.etl.verify import VerifyReport as Verification
from lakehead.inspection.loads import readable_commits
from lakehead.results import VerifyFinding, VerifyReport
from lakehead.storage import ObjectStore


def stale_tables(
    catalog: Catalog, contracts: Mapping[str, Contract], store: ObjectStore, bucket: str
) -> list[VerifyFinding]:
    """Tables that do not name just the files that commit records name: a crawl was missed."""
    known = {table.name for table in catalog.tables()}
    found = []
    for dataset, contract in contracts.items():
        records = list(readable_commits(store, bucket, dataset))
        for table, committed in (
            (contract.processed_table, {file.key for record in records for file in record.files}),
            (contract.quarantine_table, {file.key for record in records for file in record.quarantine}),
        ):
            named = {file.key for file in catalog.files(table)} if table in known else set()
            if named != committed:
                detail = f"names {len(named - committed):,} files too many and {len(committed - named):,} too few"
                found.append(VerifyFinding("stale table", table, detail, "lakehead catalog crawl --full"))
    return found


def verified(report: Verification, stale: Sequence[VerifyFinding], *, repaired: bool) -> VerifyReport:
    """What a verification found, for people. With `repaired`, a full crawl has mended the stale tables.

    An object that is not loaded yet, or cannot be, breaks no invariant: it is counted, and `lakehead runs` tells why.
    """
    findings = [VerifyFinding(one.kind, one.place, one.detail, one.fix, one.repaired) for one in report.findings]
    mended = [replace(one, repaired=repaired) for one in stale]
    waiting = {"objects not loaded": len(report.pending)} if report.pending else {}
    return VerifyReport((*findings, *mended), {**report.checked, **waiting})
