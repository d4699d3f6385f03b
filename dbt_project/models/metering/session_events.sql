-- Grain: customer, meter, event. Starts (+1) and stops (-1) of sessions, kept whole: which stop ends which start can
-- change with any later delivery.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
with events as (select events.* from {{ touched("stg_events") }} as events)

select
    cast(null as varchar) as customer,
    cast(null as varchar) as meter,
    cast(null as varchar) as dimensions,
    cast(null as varchar) as session,
    cast(null as date) as local_day,
    cast(null as bigint) as bucket_us,
    cast(null as bigint) as time_us,
    cast(null as varchar) as source,
    cast(null as varchar) as event_id,
    cast(null as decimal(38, 9)) as change
where false
{% for meter, _, _ in carried_meters(session=true) %}
    union all
    select
        customer,
        '{{ meter }}' as meter,
        k_{{ meter }} as dimensions,
        s_{{ meter }} as session,
        local_day,
        bucket_us,
        time_us,
        source,
        event_id,
        m_{{ meter }} as change
    from events
    where m_{{ meter }} is not null
{% endfor %}
