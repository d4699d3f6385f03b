-- Grain: customer, local hour (named by the instant at which it begins), endpoint, method, dimensions (`d_<name>`).
-- The wide base fact: `m_<meter>` is the measured value, `u_<meter>` counts events that the meter could not measure.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="sync_all_columns",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
with
    events as (
        select
            events.customer,
            events.local_day,
            events.bucket_us,
            events.endpoint,
            events.method,
            events.bytes
            {{ wide_dimensions() }}
            {% for meter in meters(wide_aggregations()) %}, m_{{ meter[0] }}, u_{{ meter[0] }} {% endfor %}
        from {{ touched("stg_requests") }} as events
    )

select
    customer,
    local_day,
    bucket_us,
    endpoint,
    method
    {{ columns_of_dimensions(meters(wide_aggregations())) }},
    count(*) as events,
    cast(sum(coalesce(bytes, 0)) as decimal(38, 0)) as bytes
    {{ meter_aggregates() }}
from events
group by customer, local_day, bucket_us, endpoint, method {{ columns_of_dimensions(meters(wide_aggregations())) }}
