-- A local week of a meter is what its days make of it: their sum, greatest, least or last. Where a billing period
-- begins or a plan changes within it, each part by itself. Distinct values and percentiles don't come from days.
{{ config(meta={"dagster": {"ref": {"name": "usage_weekly"}}}) }}
{{ days_against_longer("usage_weekly", "restated_weeks", "week_start", week_start("days.local_day")) }}
