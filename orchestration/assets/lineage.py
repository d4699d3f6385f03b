"""How dbt's models and sources are named as assets: sources are the assets that write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings

PRICED = (
    "rated_lines",
    "billed_days",
    "billed_lines",
    "deprecated_clients",
    "deprecated_endpoints",
    "document_days",
    "entitlement_status",
    "accounts",
    "books",
    "grants",
    "leaks",
    "refunds",
    "roll_forward",
    "sellers",
    "draft_documents",
    "draft_lines",
    "issued_documents",
    "issued_lines",
    "issued_taxes",
    "issued_reductions",
    "issued_totals",
    "missing_input",
)
"""Tables of the schema `record` that pricing writes; the others are there when the build begins."""


_GROUPS = {"staging": "metering", "clients": "monitoring", "health": "monitoring", "entitled": "monitoring"}


class Lineage(DagsterDbtTranslator):
    """Models keep dbt's names; groups are the folders of the models."""

    def __init__(self) -> None:
        # Many source tables stand for one asset: they lie in the same build.
        super().__init__(settings=DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """Key of a model (schema, name) or of the asset that writes a source table."""
        if dbt_resource_props["resource_type"] != "source":
            return super().get_asset_key(dbt_resource_props)
        source, table = dbt_resource_props["source_name"], dbt_resource_props["name"]
        if source in ("lake", "watched"):
            return dg.AssetKey("lake" if source == "lake" else "incidents")
        return dg.AssetKey("drafts" if source == "record" and table in PRICED else "warehouse_build")

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """`metering`, `marts`, `finance` or `monitoring`."""
        folder = str(dbt_resource_props["fqn"][1])
        return _GROUPS.get(folder, folder)
