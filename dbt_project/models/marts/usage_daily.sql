-- Grain: customer, meter, dimensions, local day, endpoint, method. `plan` and `period_start` are those of the segment
-- that
-- prices the meter on that day. Over places and days `quantity` combines as the aggregation does; it adds up for count,
-- sum and weighted_sum only.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="restated_days", touched_keys=["customer", "local_day"]
) }}
select
    usage.customer,
    billing.plan,
    usage.meter,
    usage.aggregation,
    usage.local_day,
    usage.endpoint,
    usage.method,
    usage.dimensions,
    billing.period_start,
    usage.quantity
from {{ ref("usage_by_day") }} as usage
inner join
    {{ source("control", "restated_days") }} as restated
    on usage.customer = restated.customer
    and usage.local_day = restated.local_day
    {{ join_billing_days("usage") }}
