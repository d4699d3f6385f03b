-- Grain: customer, meter, event. Single events of meters of which a charge prices each event by itself: which part it
-- pays can change with any later delivery.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
with events as (select events.* from {{ touched("stg_events") }} as events)

select
    cast(null as varchar) as customer,
    cast(null as varchar) as meter,
    cast(null as varchar) as dimensions,
    cast(null as date) as local_day,
    cast(null as bigint) as time_us,
    cast(null as varchar) as source,
    cast(null as varchar) as event_id,
    cast(null as decimal(38, 9)) as value
where false
{% for meter, _ in meters_in_parts("by_event") %}
    union all
    select
        customer,
        '{{ meter }}' as meter,
        {{ dimensions_json(meter) }} as dimensions,
        local_day,
        time_us,
        source,
        event_id,
        m_{{ meter }} as value
    from events
    where m_{{ meter }} is not null
{% endfor %}
