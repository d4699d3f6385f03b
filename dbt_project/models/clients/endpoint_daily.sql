-- Grain: local day, endpoint. The requests of all customers, by how they ended and how long they took.
-- Built where usage is watched (monitoring.yaml), from the histograms of `requests_daily`: no event is read for it.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="days", touched_keys=["local_day"]
) }}
with
    touched_requests as (
        select local_day, endpoint, status, latency_us, requests, bytes
        from {{ ref("requests_daily") }}
        where local_day in (select local_day from {{ source("control", "touched_days") }})
    ),

    placed as ({{ placed_requests(["local_day", "endpoint"]) }})

select
    local_day,
    endpoint,
    cast(sum(requests) as bigint) as requests,
    cast(sum(case when status between 200 and 299 then requests else 0 end) as bigint) as success,
    cast(sum(case when status between 300 and 399 then requests else 0 end) as bigint) as redirects,
    cast(sum(case when status_class = 'client_error' then requests else 0 end) as bigint) as client_errors,
    cast(sum(case when status_class = 'throttled' then requests else 0 end) as bigint) as throttled,
    cast(sum(case when status_class = 'server_error' then requests else 0 end) as bigint) as server_errors,
    cast(sum(bytes) as decimal(38, 0)) as bytes,
    {{ latency_columns() }}
from placed
group by local_day, endpoint
