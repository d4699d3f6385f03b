-- Grain: customer, meter, application, local month. Distinct users of the month, counted from the distinct users of
-- its days.
-- Users without an id count nobody and are shown as `events_without_user`.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="restated_months", touched_keys=["customer", "month_start"]
) }}
{{ active_users_of_days("restated_months", "month_start", month_start("usage.local_day")) }}
