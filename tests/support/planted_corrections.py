"""Bugs of corrections and voids, which no pricing of a single document shows: each is one place of the program's text."""

from __future__ import annotations

from planted_prices import B, Bug

CORRECTION_BUGS = (
    Bug("what is only reported is never given back", B + "policy", "if wait and kept > Money.zero(kept.currency):", "if wait:"),
    Bug("the horizon begins with the period", B + "policy", "(day - due.line.period_end)", "(day - due.line.period_start)"),
    Bug("what is withheld is given back", B + "policy", "and due.amount < Money.zero(kept.currency):", "and not due.amount:"),
    Bug("a floor holds for debts alone", B + "policy", "if abs(total.amount) < floors", "if total.amount < floors"),
    Bug("a note of its own is a line like others", B + "policy", 'policy.by_plan.get(due.line.plan) == "own_document"', "False"),
    Bug("what was voided for good comes again", B + "due", " and key not in final and is_due", " and is_due"),
    Bug("what is billed anew is what the void left", B + "due", 'if before is None or before.void == "reissue":', "if before is None:"),
    Bug("a void is billed anew first", B + "due", "for takes_back in (True, False):", "for takes_back in (False, True):"),
    Bug("a cap differs as the smallest of its lines", B + "causes", "if weight > weights", "if weight < weights"),
    Bug("a trial uses up a coupon", B + "statements", " and not due.line.trial]", "]"),
    Bug("a debit note is numbered as an invoice", "orchestration.closing.numbering", "{_SERIES.get(kind, '')}", "{'-CN' if kind == 'credit_note' else ''}"),
    Bug("a tax of both signs goes by their sum", B + "taxes", "if sum(nets) and (min(nets) >= 0 or max(nets) <= 0):", "if sum(nets):"),
)  # fmt: skip
