"""The two jobs, and the schedule of the first. Nothing that ends in an invoice starts by itself."""

from __future__ import annotations

import dagster as dg

CLOSING = dg.AssetSelection.groups("closing")

daily = dg.define_asset_job(
    "daily",
    selection=dg.AssetSelection.all() - CLOSING,
    description="Take new files, build and check usage, price drafts, publish. Issues nothing.",
)

close = dg.define_asset_job(
    "close",
    selection=CLOSING,
    description="Close the month of the partition: issue its invoices, publish and export them.",
)

daily_schedule = dg.ScheduleDefinition(
    name="daily_schedule",
    job=daily,
    cron_schedule="0 5 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every day at 05:00 UTC. Off until it is switched on, so that opening the UI starts nothing.",
)
