-- Grain: customer, local day, endpoint, method. Requests by how they ended, and how long they took.
-- Counts and bytes add up over endpoints and days; percentiles don't: take those of `requests_daily`.
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

    placed as ({{ placed_requests(["customer", "local_day", "endpoint", "method"]) }})

select
    customer,
    local_day,
    endpoint,
    method,
    cast(sum(requests) as bigint) as requests,
    cast(sum(case when status_class = 'success' then requests else 0 end) as bigint) as success,
    cast(sum(case when status_class = 'client_error' then requests else 0 end) as bigint) as client_errors,
    cast(sum(case when status_class = 'throttled' then requests else 0 end) as bigint) as throttled,
    cast(sum(case when status_class = 'server_error' then requests else 0 end) as bigint) as server_errors,
    cast(sum(case when status_class = 'other' then requests else 0 end) as bigint) as other,
    cast(sum(bytes) as decimal(38, 0)) as bytes,
    {{ latency_columns() }}
from placed
group by customer, local_day, endpoint, method
