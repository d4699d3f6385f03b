-- A median is at most the 95th percentile, and that at most the 99th; all are there as soon as one latency is known,
-- and
-- none is without.
{{ config(meta={"dagster": {"ref": {"name": "endpoint_usage"}}}) }}
with
    marts as (
        {% for mart in ["endpoint_usage", "status_usage"] %}
            select
                '{{ mart }}' as mart,
                usage.customer,
                usage.local_day,
                usage.latency_p50_us,
                usage.latency_p95_us,
                usage.latency_p99_us,
                usage.latency_events
            from {{ ref(mart) }} as usage
            inner join
                {{ source("control", "touched_days") }} as touched
                on usage.customer = touched.customer
                and usage.local_day = touched.local_day
            {% if not loop.last %}
                union all
            {% endif %}
        {% endfor %}
    )

select mart, customer, local_day, latency_p50_us, latency_p95_us, latency_p99_us, latency_events
from marts
where
    latency_p50_us > latency_p95_us
    or latency_p95_us > latency_p99_us
    or (latency_events = 0) <> (latency_p50_us is null)
    or (latency_events = 0) <> (latency_p95_us is null)
    or (latency_events = 0) <> (latency_p99_us is null)
