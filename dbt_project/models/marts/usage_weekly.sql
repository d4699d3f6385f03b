-- Grain: customer, plan, meter, dimensions, local week (its Monday), endpoint, method, billing period.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="restated_weeks", touched_keys=["customer", "week_start"]
) }}
{{ usage_of_days("restated_weeks", "week_start", week_start("usage.local_day")) }}
