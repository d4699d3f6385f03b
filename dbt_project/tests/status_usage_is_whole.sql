-- Requests, bytes and known latencies of a touched day, class by class, are those of `requests_daily`: grouping them by
-- status loses and doubles nothing.
{{ config(meta={"dagster": {"ref": {"name": "status_usage"}}}) }}
with
    touched_requests as (
        select requests.*, {{ status_class("requests.status") }} as status_class
        from {{ ref("requests_daily") }} as requests
        inner join
            {{ source("control", "touched_days") }} as touched
            on requests.customer = touched.customer
            and requests.local_day = touched.local_day
    ),

    days as (
        select
            customer,
            local_day,
            sum(case when status_class = 'success' then requests else 0 end) as success,
            sum(case when status_class = 'client_error' then requests else 0 end) as client_errors,
            sum(case when status_class = 'throttled' then requests else 0 end) as throttled,
            sum(case when status_class = 'server_error' then requests else 0 end) as server_errors,
            sum(requests) as requests,
            sum(bytes) as bytes,
            sum(case when latency_us is not null then requests else 0 end) as latency_events
        from touched_requests
        group by customer, local_day
    ),

    grouped as (
        select
            usage.customer,
            usage.local_day,
            sum(case when usage.status_class = 'success' then usage.requests else 0 end) as success,
            sum(case when usage.status_class = 'client_error' then usage.requests else 0 end) as client_errors,
            sum(case when usage.status_class = 'throttled' then usage.requests else 0 end) as throttled,
            sum(case when usage.status_class = 'server_error' then usage.requests else 0 end) as server_errors,
            sum(usage.requests) as requests,
            sum(usage.bytes) as bytes,
            sum(usage.latency_events) as latency_events
        from {{ ref("status_usage") }} as usage
        inner join
            {{ source("control", "touched_days") }} as touched
            on usage.customer = touched.customer
            and usage.local_day = touched.local_day
        group by usage.customer, usage.local_day
    )

select
    coalesce(days.customer, grouped.customer) as customer,
    coalesce(days.local_day, grouped.local_day) as local_day,
    days.requests,
    grouped.requests as requests_grouped
from days
full outer join grouped on days.customer = grouped.customer and days.local_day = grouped.local_day
where
    days.success is distinct from grouped.success
    or days.client_errors is distinct from grouped.client_errors
    or days.throttled is distinct from grouped.throttled
    or days.server_errors is distinct from grouped.server_errors
    or days.requests is distinct from grouped.requests
    or days.bytes is distinct from grouped.bytes
    or days.latency_events is distinct from grouped.latency_events
