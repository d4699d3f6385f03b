"""Charge models by the name that the catalog uses.

A new model is one function here, its entry in `MODELS`, its options in the catalog's `OPTIONS`, and its tests.
"""

from __future__ import annotations

from orchestration.billing.charges import Model
from orchestration.billing.models.matrix import matrix
from orchestration.billing.models.packages import package
from orchestration.billing.models.percentages import percentage
from orchestration.billing.models.tiered import graduated, volume
from orchestration.billing.models.uniform import dynamic, flat, per_unit

MODELS: dict[str, Model] = {
    "flat": flat,
    "per_unit": per_unit,
    "graduated": graduated,
    "volume": volume,
    "package": package,
    "percentage": percentage,
    # The same with rates for prices: units are money there.
    "graduated_percentage": graduated,
    "matrix": matrix,
    "dynamic": dynamic,
}
