-- Grain: customer, local day, event type, status class, status. How requests ended, and how long they took.
-- Counts and bytes add up over statuses and days; percentiles don't: take those of `requests_daily`.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
with
    touched_requests as (
        select requests.*
        from {{ ref("requests_daily") }} as requests
        inner join
            {{ source("control", "touched_days") }} as touched
            on requests.customer = touched.customer
            and requests.local_day = touched.local_day
    ),

    placed as ({{ placed_requests(["customer", "local_day", "event_type", "status"]) }})

select
    customer,
    local_day,
    event_type,
    status_class,
    status,
    cast(sum(requests) as bigint) as requests,
    cast(sum(bytes) as decimal(38, 0)) as bytes,
    {{ latency_columns() }}
from placed
group by customer, local_day, event_type, status_class, status
