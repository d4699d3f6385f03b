"""Bugs that other billing systems had, or that are easily made, as edits of the program: each is one place of its text."""

from __future__ import annotations

from typing import NamedTuple

B = "orchestration.billing."


class Bug(NamedTuple):
    """`old` stands once in the module; with `new` in its place the program has the bug."""

    name: str
    module: str
    old: str
    new: str


BUGS = (
    # Models
    Bug("a bound belongs to the tier above it", B + "models.tiered", "or quantity <= tier.up_to", "or quantity < tier.up_to"),
    Bug("a tier holds one unit too many", B + "models.positions", "else min(run.high, up_to)", "else min(run.high, EXACT.add(up_to, Decimal(1)))"),
    Bug("a flat fee is due at the bound", B + "models.tiered", "entered = reached > below", "entered = reached >= below"),
    Bug("a flat fee is due without usage", B + "models.tiered", "bool(fee) and (reached > 0 or terms.charge.flat_fee_at_zero)", "bool(fee)"),
    Bug("volume chooses the tier by the last version's usage", B + "models.tiered", "number = tier_of(terms.charge, reached)", "number = tier_of(terms.charge, runs[-1].high - runs[-1].low if runs else reached)"),
    Bug("only full packages are sold", B + "models.packages", "if terms.charge.whole:", "if terms.charge.size:"),
    Bug("a full package begins another", B + "models.positions", "EXACT.add(whole, Decimal(1)) if rest else whole", "EXACT.add(whole, Decimal(1))"),
    Bug("one event too many is free", B + "per_event", "seen >= charge.free_events", "seen > charge.free_events"),
    Bug("bounds of an event leave out its fixed fee", B + "per_event", " + Fraction(price.charge.fixed or ZERO)", ""),
    Bug("an event's free part is paid as well", B + "per_event", "EXACT.subtract(money, free))", "money)"),
    Bug("C13 the newest price is for all usage", B + "segments", "if price.from_day <= day:", "if price.from_day:"),
    Bug("C13 a price comes a day late", B + "segments", "if price.from_day <= day:", "if price.from_day < day or price is self.prices[0]:"),
    # Quantity
    Bug("included units are those before conversion", B + "rating", "Fraction(charge.included) * Fraction(*included)", "Fraction(charge.included) * Fraction(*included) * (charge.convert.ratio if charge.convert else 1)"),
    Bug("included units aren't prorated", B + "rating", "return active_share(charge, segment) if adds_up else", "return active_share(charge, segment) if adds_up and segment.trial else"),
    Bug("a conversion is rounded day by day", B + "conversion", "total = EXACT.add(total, piece.quantity)", "total, shown = piece.quantity, ZERO"),
    # Proration and segments
    Bug("C7 a stub is prorated by itself", B + "segments", "return self.days, self.period_days", "return self.days, self.days"),
    Bug("C8 every month has 30 days", B + "segments", "return self.days, self.period_days", "return self.days, 30 if self.period_days in range(28, 32) else self.period_days"),
    Bug("a mark of half a period costs the whole", B + "rating", "if charge.meter is None or _is_mark(charge, meter):", "if charge.meter is None:"),
    Bug("C8 the minimum isn't prorated", B + "bounds", "Fraction(charge.minimum) * part -", "Fraction(charge.minimum) -"),
    Bug("the maximum isn't prorated", B + "bounds", "Fraction(charge.maximum) * part)", "Fraction(charge.maximum))"),
    Bug("A19 the segment after a trial is free", B + "segments", "trial=start < phase.trial_end,", "trial=start <= phase.trial_end,"),
    Bug("A19 a trial is topped up to the minimum", B + "rating", "Settled.zero(currency) if segment.trial else settle(charge, gross, share, rounding)", "settle(charge, gross, share, rounding)"),
    Bug("a trial uses up the period's tiers", B + "segments", "trial_ends = {phase.trial_end} if", "trial_ends = set() if"),
    Bug("B5 the last day of a period is in the next", "orchestration.periods", "return n if boundary(anchor, interval, n) <= day", "return n if boundary(anchor, interval, n) < day"),
    # Amounts
    Bug("halves go to the even cent", "orchestration.money", "more = twice >= 0", "more = twice > 0 or (twice == 0 and whole % 2 == 1)"),
    Bug("C3 amounts are truncated", B + "rating", "Money.of(exact, currency, rounding)", 'Money.of(exact, currency, "down")'),
    Bug("C6 the maximum is rounded first", B + "bounds", "Fraction(charge.maximum) * part)", "Fraction(Money.of(Fraction(charge.maximum) * part, gross.currency, rounding).amount))"),
    Bug("C11 the discount counts twice", B + "bounds", "net = gross - discount", "net = gross - discount - discount"),
    Bug("the discount comes after the maximum", B + "bounds", "Fraction(gross.amount) * Fraction(charge.discount_percent)", "min(Fraction(gross.amount), Fraction(charge.maximum or gross.amount)) * Fraction(charge.discount_percent)"),
    Bug("the top-up forgets the excess", B + "bounds", "Fraction((net - excess).amount)", "Fraction((gross - excess).amount)"),
    Bug("C9 a commitment isn't prorated", B + "commitments", "Fraction(commitment.amount) * scope.proration", "Fraction(commitment.amount)"),
    Bug("a commitment counts fees only", B + "commitments", "return scope.start <= line.start < scope.end", 'return scope.start <= line.start < scope.end and line.kind == "fee"'),
    Bug("a cap counts usage only", B + "commitments", "total = _sum(lines, scope.first.currency)\n    if cap", 'total = _sum([line for line in lines if line.meter], scope.first.currency)\n    if cap'),
    # Documents
    Bug("C14 the next period's fee is forgotten", B + "due", "else line.start <= cut_off", "else line.start < cut_off"),
    Bug("a coupon touches adjustments", B + "statements", "if due.kind not in UNTOUCHED and", 'if due.kind != "correction" and'),
    Bug("coupons are taken in the order of their ids", B + "credits", "key=lambda c: (c.issued, c.id)", "key=lambda c: c.id"),
    Bug("a credit is used on the day on which it has expired", B + "credits", "grant.expires <= day", "grant.expires < day"),
    Bug("credits are used in the order of their ids", B + "credits", "(g.priority, g.expires or date.max, g.granted, g.id)", "g.id"),
    Bug("tax is taken of what was there before coupons", B + "statements", "taxed = [(_net(due, taken), x)", "taxed = [(due.amount, x)"),
    Bug("C2 tax is rounded line by line", B + "taxes", "amount = tax_of(base, rate.percent, rounding) if amount is None else amount", "amount = sum((tax_of(nets[p][0], rate.percent, rounding) for p in positions), Money.zero(currency))"),
    Bug("the tax date is the first day of the period", B + "taxes", 'if line.due == "advance" else', "if line.currency else"),
    Bug("C1 the last of equal remainders gets the cent", "orchestration.money", "sorted(range(len(rests)),", "sorted(reversed(range(len(rests))),"),
)  # fmt: skip
