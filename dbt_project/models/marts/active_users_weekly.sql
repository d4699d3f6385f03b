-- Grain: customer, meter, application, local week. Distinct users of the week, counted from the distinct users of its
-- days.
-- Users without an id count nobody and are shown as `events_without_user`.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="restated_weeks", touched_keys=["customer", "week_start"]
) }}
{{ active_users_of_days("restated_weeks", "week_start", week_start("usage.local_day")) }}
