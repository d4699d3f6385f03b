-- Grain: customer, meter, local day, endpoint, method. `plan` is the one that prices the meter on that day.
-- `quantity` adds up over endpoints, methods and days for count and sum; for max take the greatest.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="restated_days", touched_keys=["customer", "local_day"]
) }}
select
    usage.customer,
    plans.plan,
    usage.meter,
    usage.aggregation,
    usage.local_day,
    usage.endpoint,
    usage.method,
    usage.quantity
from {{ ref("usage_by_day") }} as usage
inner join
    {{ source("control", "restated_days") }} as touched on usage.customer = touched.customer and usage.local_day = touched.local_day
left join
    {{ source("control", "plan_days") }} as plans
    on usage.customer = plans.customer
    and usage.meter = plans.meter
    and usage.local_day >= plans.start_day
    and usage.local_day < plans.end_day
