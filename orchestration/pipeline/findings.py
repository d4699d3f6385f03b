"""What somebody says of an incident, written into the journal: a label, or a decision about the drafts it holds."""

from __future__ import annotations

from collections.abc import Sequence

from orchestration.catalog import Catalog
from orchestration.catalog.reviews import same_person
from orchestration.durable import Point
from orchestration.errors import ConfigInvalid
from orchestration.ledger.findings import APPROVE, HOLD, Finding, findings
from orchestration.ledger.store import Ledger
from orchestration.pipeline.incidents import Known, holds
from orchestration.zones import local_date

_LONGEST = 500


def find(known: Sequence[Known], text: str) -> Known:
    """The incident whose id begins with `text`. Raises ConfigInvalid where none or several do."""
    found = [row for row in known if row.seen.incident.startswith(text)]
    exact = [row for row in found if row.seen.incident == text]
    if len(found) == 1 or len(exact) == 1:
        return (exact or found)[0]
    several = ", ".join(f"{row.seen.incident} ({row.seen.customer}, {row.seen.kind})" for row in found[:5])
    raise ConfigInvalid(
        f"'{text}' begins the ids of {len(found)} incidents: {several}" if text and found else f"no incident '{text}'",
        not_done="nothing was shown or decided",
        next_step="name one by its whole id" if text and found else "`tallystick anomalies --all` lists their ids",
    )


def record(
    ledger: Ledger, catalog: Catalog, row: Known, says: str, by: str, reason: str, now_us: int
) -> tuple[Finding, bool]:
    """Journal what somebody says of an incident; the finding, and whether it was written: the same again is not.

    Raises ConfigInvalid where nobody says it or no reason is given, where a decision is about what holds nothing, and
    where an approval lacks a second person.
    """
    by, reason = by.strip(), reason.strip()
    for name, text in (("--by", by), ("--reason", reason)):
        if not 0 < len(text) <= _LONGEST or not text.isprintable():
            message = f"{name} is a line of 1 to {_LONGEST} characters"
            raise _refused(message, 'say who and why: --by ana --reason "a load test that was announced"')
    label = row.label
    finding = Finding(row.seen, says, by, reason, now_us)
    if finding.entry_kind == HOLD:
        whose = ("", "") if label is None else (label.says, label.by)
        finding = Finding(row.seen, says, by, reason, now_us, *whose)
        _check_decision(catalog, finding)
    with ledger.transaction(Point.FINDING_COMMITTED):
        # Asked again within the transaction: somebody else may have decided meanwhile.
        about = [f for f in findings(ledger.journal()) if f.seen.incident == row.seen.incident]
        last = next((f for f in reversed(about) if f.entry_kind == finding.entry_kind), None)
        if last is not None and _same(last, finding):
            return last, False
        entry = ledger.append_journal(finding.entry_kind, finding.body())
    return Finding.of(entry), True


def _same(last: Finding, finding: Finding) -> bool:
    said = ((f.says, f.by, f.reason, f.labelled, f.labelled_by) for f in (last, finding))
    return len(set(said)) == 1 and last.seen.same(finding.seen)


def _check_decision(catalog: Catalog, finding: Finding) -> None:
    name, kind = finding.seen.incident, finding.seen.kind
    if kind not in holds(catalog):
        raise _refused(
            f"incident {name} holds no drafts: '{kind}' is none of the kinds that do",
            f"say what it was with `tallystick anomalies label {name} real|false`, or list the kind under 'holds' of "
            "monitoring.yaml",
        )
    since = catalog.settings.approvals_since
    if finding.says != APPROVE or since is None or local_date("UTC", finding.now_us) < since:
        return
    if not finding.labelled_by:
        raise _refused(
            f"from {since} on two persons release drafts, and nobody has said what incident {name} was",
            f"another person says it first: `tallystick anomalies label {name} real|false`",
        )
    if same_person(finding.labelled_by, finding.by):
        raise _refused(
            f"'{finding.by}' has labelled incident {name} and can't approve it: from {since} on they are two",
            "have another person approve it",
        )


def _refused(message: str, next_step: str) -> ConfigInvalid:
    return ConfigInvalid(message, where="tallystick anomalies", not_done="nothing was written", next_step=next_step)
