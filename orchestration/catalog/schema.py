"""JSON Schemas of the catalog's YAML files, so that editors complete and check them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import create_model

from orchestration.catalog.decisions import KEY, ConflictDecision
from orchestration.catalog.entitlements import KEY as ENTITLEMENTS
from orchestration.catalog.entitlements import Entitlement
from orchestration.catalog.fields import Model
from orchestration.catalog.meters import Meter
from orchestration.catalog.models import Settings
from orchestration.catalog.monitoring import Monitoring
from orchestration.catalog.plans import Plan
from orchestration.catalog.retractions import Retraction
from orchestration.catalog.reviews import Declared, Erase, Void, Withheld
from orchestration.catalog.routes import RouteSet
from orchestration.catalog.sources import Source
from orchestration.catalog.terms import Adjustment, Coupon, Grant, Override, Refund, Release, Taxes
from orchestration.catalog.throttles import KEY as THROTTLES
from orchestration.catalog.throttles import Throttle

_LISTS: dict[str, type[Model]] = {
    "sources": Source,
    "meters": Meter,
    "routes": RouteSet,
    THROTTLES: Throttle,
    ENTITLEMENTS: Entitlement,
    "retractions": Retraction,
    "overrides": Override,
    "coupons": Coupon,
    "credits": Grant,
    "adjustments": Adjustment,
    "refunds": Refund,
    "releases": Release,
    "corrections": Declared,
    "voids": Void,
    "withheld": Withheld,
    "erasures": Erase,
}


def schemas() -> dict[str, dict[str, Any]]:
    """Schema by file name: that of each YAML file, and `plan`."""
    whole: dict[str, type[Model]] = {"instance": Settings, "plan": Plan, "taxes": Taxes, "monitoring": Monitoring}
    whole["decisions"] = create_model("Decisions", __base__=Model, **{KEY: (list[ConflictDecision], ...)})  # type: ignore[call-overload]
    for name, item in _LISTS.items():
        whole[name] = create_model(name.capitalize(), __base__=Model, **{name: (list[item], ...)})  # type: ignore[call-overload, valid-type]
    return {name: _described(name, model) for name, model in sorted(whole.items())}


def _described(name: str, model: type[Model]) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"Tallystick catalog: {name}"} | {
        key: value for key, value in schema.items() if key != "title"
    }


def write_schemas(folder: Path) -> list[Path]:
    """Write `<name>.schema.json` files below `folder` and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, schema in schemas().items():
        path = folder / f"{name}.schema.json"
        path.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
        written.append(path)
    return written
