-- Requests and bytes of a touched day are those of `requests_daily`, in each scope and at each grain of the series.
{{ config(meta={"dagster": {"ref": {"name": "watched_series"}}}) }}
with
    days as (
        select requests.customer, requests.local_day, sum(requests.requests) as requests, sum(requests.bytes) as bytes
        from {{ ref("requests_daily") }} as requests
        inner join
            {{ source("control", "touched_days") }} as touched
            on requests.customer = touched.customer
            and requests.local_day = touched.local_day
        group by requests.customer, requests.local_day
    ),

    expected as (
        select days.*, scopes.scope, grains.grain
        from days
        cross join (select unnest(['customer', 'credential', 'endpoint']) as scope) as scopes
        cross join (select unnest(['5m', 'hour', 'day']) as grain) as grains
    ),

    found as (
        select
            series.customer,
            series.local_day,
            series.scope,
            series.grain,
            sum(series.requests) as requests,
            sum(series.bytes) as bytes
        from {{ ref("watched_series") }} as series
        inner join
            {{ source("control", "touched_days") }} as touched
            on series.customer = touched.customer
            and series.local_day = touched.local_day
        group by series.customer, series.local_day, series.scope, series.grain
    )

select
    coalesce(expected.customer, found.customer) as customer,
    coalesce(expected.local_day, found.local_day) as local_day,
    coalesce(expected.scope, found.scope) as scope,
    coalesce(expected.grain, found.grain) as grain,
    expected.requests,
    found.requests as requests_of_series
from expected
full outer join
    found
    on expected.customer = found.customer
    and expected.local_day = found.local_day
    and expected.scope = found.scope
    and expected.grain = found.grain
where expected.requests is distinct from found.requests or expected.bytes is distinct from found.bytes
