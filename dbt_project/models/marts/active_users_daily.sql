-- Grain: customer, meter, application, local day. Distinct users of the day.
-- Users without an id count nobody and are shown as `events_without_user`.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="restated_days", touched_keys=["customer", "local_day"]
) }}
{{ active_users_of_days("restated_days", "local_day", "usage.local_day") }}
