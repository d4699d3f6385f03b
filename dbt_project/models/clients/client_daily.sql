-- Grain: customer, local day, client, version, endpoint, status. Requests by the library that made them.
-- Built where usage is watched (monitoring.yaml); its appearance builds everything anew.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
with
    requests as (
        select
            customer,
            local_day,
            {{ client_of("agent") }} as client,
            {{ client_version_of("agent") }} as version,
            endpoint,
            status
        from {{ touched("stg_requests") }} as events
        where path is not null or method is not null or status is not null
    )

select customer, local_day, client, version, endpoint, status, count(*) as requests
from requests
group by customer, local_day, client, version, endpoint, status
