"""Money: currencies, the one exact context, the one rounding, and the one split of an amount into parts.

Everything before rounding is a `Fraction` or a `Decimal`; a float is refused everywhere. Rounding happens here and
nowhere else, by integers, so that no context can change a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import (
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
    Rounded,
)
from fractions import Fraction
from functools import cache
from math import lcm
from typing import Literal, TypeAlias

EXACT = Context(
    prec=100,
    traps=[Inexact, Rounded, InvalidOperation, Overflow, DivisionByZero, FloatOperation],
)
"""The only decimal context of the way of money: what it cannot hold exactly, it raises."""

Rounding: TypeAlias = Literal["half_away", "half_even", "up", "down"]
Number: TypeAlias = Fraction | Decimal | int

_TWO_DECIMALS = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY
    COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS
    INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR
    MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP
    STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
"""
_BY_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: _TWO_DECIMALS,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
CURRENCIES: dict[str, int] = {code: n for n, codes in sorted(_BY_DECIMALS.items()) for code in codes.split()}
"""ISO 4217: code -> decimals of the minor unit. Codes without a minor unit (metals, tests, XDR) cannot be billed."""
_MINOR_UNITS = {code: Decimal(1).scaleb(-decimals) for code, decimals in CURRENCIES.items()}


class CurrencyMismatch(ValueError):
    """Two currencies met in one sum or comparison."""


def as_fraction(value: Number) -> Fraction:
    """The exact value. Raises TypeError for anything but Fraction, Decimal and int, ValueError for NaN and infinity."""
    if isinstance(value, bool) or not isinstance(value, Fraction | Decimal | int):
        raise TypeError(f"an exact number is needed, not {type(value).__name__}")
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError(f"not a finite number: {value}")
    return Fraction(value)


def round_fraction(value: Number, decimals: int, mode: Rounding = "half_away") -> Decimal:
    """`value` at exactly `decimals` places, without a sign on zero; below 0 they are tens, hundreds and so on.

    `up` is away from zero and `down` towards it, so that a charge and its reversal are mirror images.
    """
    return round_ratio(*_ratio(value), decimals, mode)


def round_ratio(numerator: int, denominator: int, decimals: int, mode: Rounding = "half_away") -> Decimal:
    """As `round_fraction`, of a quotient that need not be in lowest terms; the denominator is above 0."""
    denominator *= 10 ** max(-decimals, 0)
    whole, rest = divmod(abs(numerator) * 10 ** max(decimals, 0), denominator)
    twice = 2 * rest - denominator
    match mode:
        case "half_away":
            more = twice >= 0
        case "half_even":
            more = twice > 0 or (twice == 0 and whole % 2 == 1)
        case "up":
            more = rest > 0
        case "down":
            more = False
        case _:
            raise ValueError(f"unknown rounding '{mode}'")
    minor = whole + more
    return EXACT.scaleb(Decimal(-minor if numerator < 0 else minor), -decimals)


def decimal_text(value: Number) -> str:
    """The value in plain digits without an exponent or needless zeros, or `n/d` when no decimal is equal to it."""
    if type(value) is Decimal and value.is_finite():
        text = f"{value:f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text == "-0" else text
    numerator, denominator = _ratio(value)
    if denominator == 1:
        return str(numerator)
    twos = (denominator & -denominator).bit_length() - 1
    fives, rest = 0, denominator >> twos
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{numerator}/{denominator}"
    places = max(twos, fives)
    digits = str(abs(numerator) * 10**places // denominator).rjust(places + 1, "0")
    return f"{'-' if numerator < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def _ratio(value: Number) -> tuple[int, int]:
    """Numerator and denominator, in lowest terms. Raises as `as_fraction` does."""
    if type(value) is not Fraction and type(value) is not Decimal:
        value = as_fraction(value)
    if type(value) is Decimal and not value.is_finite():
        raise ValueError(f"not a finite number: {value}")
    return value.as_integer_ratio()


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency, always at that currency's minor unit. Made by `Money.of`, which is the rounding.

    Amounts of two currencies are never equal; to add, subtract or order them raises `CurrencyMismatch`.
    """

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        decimals = _decimals(self.currency)
        if not isinstance(self.amount, Decimal):
            raise TypeError(f"an amount is a Decimal, not {type(self.amount).__name__}: use Money.of")
        if not self.amount.same_quantum(_MINOR_UNITS[self.currency]):
            raise ValueError(f"{self.amount} does not have the {decimals} decimals of {self.currency}: use Money.of")

    @classmethod
    def of(cls, value: Number, currency: str, rounding: Rounding = "half_away") -> Money:
        """`value`, in whole currency units, rounded once to the minor unit. Raises TypeError for a float."""
        return cls(round_fraction(value, _decimals(currency), rounding), currency)

    @classmethod
    def of_minor(cls, minor: int, currency: str) -> Money:
        """An amount given as a whole number of minor units (cents)."""
        return cls(EXACT.scaleb(minor, -_decimals(currency)), currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        return _zero(currency)

    @property
    def minor(self) -> int:
        """The amount as a whole number of minor units."""
        return int(EXACT.scaleb(self.amount, CURRENCIES[self.currency]))

    @property
    def text(self) -> str:
        """The amount as documents print it: "12.30", "-5.00", "7" for yen."""
        return f"{self.amount:f}"

    def _other(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} in one sum or comparison")
        return other.amount

    def __add__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        added = self._other(other)
        if not added:
            return self
        return Money(EXACT.add(self.amount, added), self.currency) if self.amount else other

    def __sub__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        taken = self._other(other)
        return Money(EXACT.subtract(self.amount, taken), self.currency) if taken else self

    def __neg__(self) -> Money:
        return Money(EXACT.minus(self.amount), self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._other(other)

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._other(other)

    def __gt__(self, other: Money) -> bool:
        return self.amount > self._other(other)

    def __ge__(self, other: Money) -> bool:
        return self.amount >= self._other(other)

    def __bool__(self) -> bool:
        return bool(self.amount)

    def __str__(self) -> str:
        return f"{self.text} {self.currency}"


def _decimals(currency: str) -> int:
    decimals = CURRENCIES.get(currency)
    if decimals is None:
        raise ValueError(f"unknown currency '{currency}' (ISO 4217, upper case)")
    return decimals


@cache
def _zero(currency: str) -> Money:
    return Money.of(0, currency)


def allocate(total_minor: int, weights: Sequence[Number]) -> list[int]:
    """Split whole minor units over `weights` by largest remainder; the parts sum exactly to `total_minor`.

    Each part is cut towards zero; the units left go one each to the largest remainders, of equals to the earlier.
    A weight of 0 gets nothing. Raises ValueError when there is something to split and the weights sum to 0.
    """
    whole_numbers = _integers(weights)
    whole = sum(whole_numbers)
    if total_minor == 0:
        return [0] * len(whole_numbers)
    if whole == 0:
        raise ValueError("nothing to split by: the weights sum to 0")
    # Shares are numerators over |whole|; the sign goes to the numerators.
    total, over = (total_minor, whole) if whole > 0 else (-total_minor, -whole)
    shares = [total * weight for weight in whole_numbers]
    parts = [share // over if share >= 0 else -(-share // over) for share in shares]
    left = total_minor - sum(parts)
    if left:
        rests = [share - part * over for share, part in zip(shares, parts, strict=True)]
        # In reverse too, a sort leaves equals in their order.
        order = sorted(range(len(rests)), key=rests.__getitem__, reverse=left > 0)
        for i in order[: abs(left)]:
            parts[i] += 1 if left > 0 else -1
    return parts


def _integers(weights: Sequence[Number]) -> list[int]:
    """Whole numbers in the proportions of the weights."""
    whole = [weight for weight in weights if type(weight) is int]
    if len(whole) == len(weights):
        return whole
    exact = [as_fraction(weight) for weight in weights]
    common = lcm(*(weight.denominator for weight in exact))
    return [weight.numerator * (common // weight.denominator) for weight in exact]
