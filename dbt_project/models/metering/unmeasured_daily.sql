-- Grain: customer, meter, local day. Events that a meter takes but cannot measure: reported, never counted as 0.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
with
    events as (
        select events.*
        from {{ ref("stg_events") }} as events
        inner join
            {{ source("control", "touched_days") }} as touched
            on events.customer = touched.customer
            and events.local_day = touched.local_day
    )

select
    cast(null as varchar) as customer,
    cast(null as varchar) as meter,
    cast(null as varchar) as aggregation,
    cast(null as date) as local_day,
    cast(null as bigint) as events
where false
{% for meter in meters(["count", "sum", "max", "unique_count"]) %}
    union all
    select customer, '{{ meter[0] }}' as meter, '{{ meter[1] }}' as aggregation, local_day, count(*) as events
    from events
    where u_{{ meter[0] }} = 1
    group by customer, local_day
{% endfor %}
