"""Edits of coupons, credits, adjustments, taxes and accounts that would change what was billed or booked.

A coupon or a credit that a document has used may be ended, not altered; a rate of a closed date stays as it was. What
follows from it is another coupon, another adjustment, another rate from its day on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date

from orchestration.billing.credits import Used
from orchestration.billing.due import Issued
from orchestration.billing.rating import LineKey
from orchestration.billing.taxes import Buyer, treated
from orchestration.catalog import Catalog
from orchestration.catalog.accounts import accounts
from orchestration.catalog.terms import Coupon, Grant
from orchestration.closing.declared import declared_files
from orchestration.errors import PeriodClosed, Problem
from orchestration.money import decimal_text


def refuse_term_edits(
    archived: Catalog,
    catalog: Catalog,
    issued: Mapping[LineKey, Issued],
    used: Used,
    cut_off: date,
) -> None:
    """Raise PeriodClosed if `catalog` says of used coupons and credits, issued adjustments or taxes of issued lines
    something else than `archived`, the catalog of the last close, does.

    An edit of taxes that is declared a correction changes no correction, which keeps the taxes of what it corrects: it
    holds for what is billed anew.
    """
    problems = [
        *_coupons(archived, catalog, used, cut_off),
        *_credits(archived, catalog, used, cut_off),
        *_adjustments(archived, catalog, issued),
        *_refunds(archived, catalog, used),
        *_accounts(archived, catalog),
        *(() if "taxes.yaml" in declared_files(catalog) else _taxes(archived, catalog, issued)),
    ]
    if problems:
        shown = "\n".join(f"    {p}" for p in problems[:10])
        more = f"\n    and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise PeriodClosed(
            f"{len(problems)} term(s) that issued documents rest on are edited:\n{shown}{more}",
            not_done="nothing was priced, issued or published",
            next_step="put back what was in force; end it by its last day, and write what is new in a row of its own",
        )


def _coupons(archived: Catalog, catalog: Catalog, used: Used, cut_off: date) -> Iterator[Problem]:
    now = {coupon.id: coupon for coupon in catalog.coupons}
    for was in archived.coupons:
        if was.id in used.ids("coupon") and not _same(was, now.get(was.id), {"until"}, cut_off):
            yield Problem("coupon_edited", f"coupon '{was.id}' has been used, and is another one now", "coupons.yaml")


def _credits(archived: Catalog, catalog: Catalog, used: Used, cut_off: date) -> Iterator[Problem]:
    now = {grant.id: grant for grant in catalog.grants}
    for was in archived.grants:
        if was.id in used.ids(was.kind) and not _same(was, now.get(was.id), {"expires", "priority"}, cut_off):
            yield Problem("credit_edited", f"credit '{was.id}' has been used, and is another one now", "credits.yaml")


def _same(was: Coupon | Grant, now: Coupon | Grant | None, free: set[str], cut_off: date) -> bool:
    """Equal but for what only later documents follow: its order, and an end that leaves closed days as they were."""
    if now is None or was.model_dump(exclude=free) != now.model_dump(exclude=free):
        return False
    ends = {getattr(row, "until", None) or getattr(row, "expires", None) or date.max for row in (was, now)}
    return len(ends) == 1 or min(ends) >= cut_off


def _adjustments(archived: Catalog, catalog: Catalog, issued: Mapping[LineKey, Issued]) -> Iterator[Problem]:
    now = {row.id: row for row in catalog.adjustments}
    for was in archived.adjustments:
        if LineKey("", was.id, was.day, was.day) in issued and now.get(was.id) != was:
            message = f"adjustment '{was.id}' was billed, and is another one now; what takes it back is an adjustment"
            yield Problem("adjustment_edited", message, "adjustments.yaml")


def _refunds(archived: Catalog, catalog: Catalog, used: Used) -> Iterator[Problem]:
    now = {row.document for row in catalog.refunds}
    for was in archived.refunds:
        if was.document not in now:
            message = f"the refund of {was.document} is gone, which would pay documents again"
            yield Problem("refund_edited", message, "refunds.yaml")
    for row in catalog.refunds:
        if not used.is_note(row.document):
            message = f"'{row.document}' is no credit note that was issued"
            yield Problem("unknown_document", message, "refunds.yaml")


def _accounts(archived: Catalog, catalog: Catalog) -> Iterator[Problem]:
    """What is booked in locked months stays on its account; another one is that of a version from its day on."""
    locked = catalog.settings.locked_through
    if locked is None:
        return
    now = defaultdict(list)
    for row in accounts(catalog.plans.values(), catalog.adjustments):
        now[row.plan, row.charge].append(row)
    for was in accounts(archived.plans.values(), archived.adjustments):
        for row in now[was.plan, was.charge]:
            both = max(was.start, row.start), min(was.end, row.end)
            if both[0] < both[1] and both[0] <= locked and was.account != row.account:
                message = (
                    f"'{was.charge or was.plan}' was booked to account '{was.account}', and now is to '{row.account}', "
                    f"in books that are locked through {locked}"
                )
                yield Problem("account_edited", message, f"plans, {was.plan}" if was.plan else "adjustments.yaml")


def _taxes(archived: Catalog, catalog: Catalog, issued: Mapping[LineKey, Issued]) -> Iterator[Problem]:
    """What a line was taxed by on its day, for the buyer as it was then."""
    seen: set[tuple[str, str, str]] = set()
    for before in issued.values():
        line = before.line
        key = line["customer"], line["tax_category"], line["tax_date"]
        if key in seen or line["customer"] not in archived.customers:
            continue
        seen.add(key)
        was, now = (_taxed(known, archived, *key) for known in (archived, catalog))
        if was != now:
            message = f"tax of category '{key[1]}' for '{key[0]}' on {key[2]} was {was}, and now is {now}"
            yield Problem("tax_edited", message, "taxes.yaml")


def _taxed(catalog: Catalog, archived: Catalog, customer: str, category: str, day: str) -> str:
    on, taxes = date.fromisoformat(day), catalog.taxes
    exemptions = [x for x in taxes.exemptions if x.customer == customer] if taxes is not None else []
    seller, country = archived.seller(customer, on), archived.customer_on(customer, on).country
    found = treated(category, on, Buyer(seller, country, None if taxes is None else taxes.rates, exemptions))
    if found is None:
        return "none"
    rates = ", ".join(f"{rate.name} {decimal_text(rate.percent)} %" for rate in found.rates)
    return found.exemption or rates or "none"
