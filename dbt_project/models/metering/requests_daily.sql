-- Grain: customer, local day, event type, endpoint, method, status, latency (rounded up to three significant digits;
-- NULL where none is known). A request is an event with a path, a method or a status. The rows of a group are a
-- histogram, from which percentiles of any longer time or wider group can be taken.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
with
    requests as (
        select
            events.customer,
            events.local_day,
            events.event_type,
            events.endpoint,
            events.method,
            events.status,
            {{ three_digits("events.latency_us") }} as rounded_us,
            coalesce(events.bytes, 0) as bytes
        from {{ touched("stg_requests") }} as events
        where events.path is not null or events.method is not null or events.status is not null
    )

select
    customer,
    local_day,
    event_type,
    endpoint,
    method,
    status,
    rounded_us as latency_us,
    count(*) as requests,
    cast(sum(bytes) as decimal(38, 0)) as bytes
from requests
group by customer, local_day, event_type, endpoint, method, status, rounded_us
