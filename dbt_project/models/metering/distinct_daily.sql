-- Grain: customer, meter, local day, distinct value. Periods count distinct values from here, never from sums.
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
    cast(null as date) as local_day,
    cast(null as varchar) as value_key,
    cast(null as bigint) as events
where false
{% for meter in meters(["unique_count"]) %}
    union all
    select customer, '{{ meter[0] }}' as meter, local_day, m_{{ meter[0] }} as value_key, count(*) as events
    from events
    where m_{{ meter[0] }} is not null
    group by customer, local_day, m_{{ meter[0] }}
{% endfor %}
