-- Every event of a touched day with an endpoint or a method is one request, with its bytes; of those with neither at
-- most all are.
{{ config(meta={"dagster": {"ref": {"name": "requests_daily"}}}) }}
with
    hours as (
        select
            hours.customer,
            hours.local_day,
            hours.endpoint,
            hours.method,
            sum(hours.events) as events,
            sum(hours.bytes) as bytes
        from {{ ref("metered_hours") }} as hours
        inner join
            {{ source("control", "touched_days") }} as touched
            on hours.customer = touched.customer
            and hours.local_day = touched.local_day
        group by hours.customer, hours.local_day, hours.endpoint, hours.method
    ),

    requests as (
        select
            requests.customer,
            requests.local_day,
            requests.endpoint,
            requests.method,
            sum(requests.requests) as requests,
            sum(requests.bytes) as bytes
        from {{ ref("requests_daily") }} as requests
        inner join
            {{ source("control", "touched_days") }} as touched
            on requests.customer = touched.customer
            and requests.local_day = touched.local_day
        group by requests.customer, requests.local_day, requests.endpoint, requests.method
    )

select
    coalesce(hours.customer, requests.customer) as customer,
    coalesce(hours.local_day, requests.local_day) as local_day,
    coalesce(hours.endpoint, requests.endpoint) as endpoint,
    coalesce(hours.method, requests.method) as method,
    hours.events,
    requests.requests
from hours
full outer join
    requests
    on hours.customer = requests.customer
    and hours.local_day = requests.local_day
    and hours.endpoint is not distinct from requests.endpoint
    and hours.method is not distinct from requests.method
where
    case
        when coalesce(hours.endpoint, hours.method, requests.endpoint, requests.method) is null
        then
            coalesce(requests.requests, 0) > coalesce(hours.events, 0)
            or coalesce(requests.bytes, 0) > coalesce(hours.bytes, 0)
        else hours.events is distinct from requests.requests or hours.bytes is distinct from requests.bytes
    end
