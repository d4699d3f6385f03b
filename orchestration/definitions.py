"""The code location of Dagster: lists and wiring. Read at import: the prepared manifest of the models, nothing else."""

from __future__ import annotations

import dagster as dg

from orchestration.assets.build import drafts, incidents, published_warehouse, warehouse_build
from orchestration.assets.closing import invoice_exports, issued_invoices
from orchestration.assets.ingest import ingest
from orchestration.assets.models import finance_models, usage_models
from orchestration.automation.jobs import close, daily, daily_schedule
from orchestration.checks import watching
from orchestration.checks.accounting import everything_is_accounted_for
from orchestration.resources.instance import TallystickInstance

defs = dg.Definitions(
    assets=[
        ingest,
        warehouse_build,
        usage_models,
        drafts,
        incidents,
        finance_models,
        published_warehouse,
        issued_invoices,
        invoice_exports,
    ],
    asset_checks=[
        everything_is_accounted_for,
        watching.clients_back_off,
        watching.gateway_keeps_its_limits,
        watching.incidents_are_labelled,
        watching.watching_covers_every_customer,
    ],
    jobs=[daily, close],
    schedules=[daily_schedule],
    resources={"tallystick": TallystickInstance()},
    executor=dg.in_process_executor,
)
