-- Grain: customer, plan, meter, dimensions, local month (its first day), endpoint, method, billing period.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="restated_months", touched_keys=["customer", "month_start"]
) }}
{{ usage_of_days("restated_months", "month_start", month_start("usage.local_day")) }}
