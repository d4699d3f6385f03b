-- Grain: customer, meter, dimensions, instant. What happens to a state that lasts: of meters whose events are changes
-- the sum of the instant's changes; of the others its last reading (the greatest event key), its least and greatest.
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
    cast(null as bigint) as bucket_us,
    cast(null as bigint) as time_us,
    cast(null as decimal(38, 9)) as change,
    cast(null as decimal(38, 9)) as last,
    cast(null as decimal(38, 9)) as low,
    cast(null as decimal(38, 9)) as high
where false
{% for meter, aggregation, additive in carried_meters(session=false) %}
    union all
    select
        customer,
        '{{ meter }}' as meter,
        k_{{ meter }} as dimensions,
        local_day,
        bucket_us,
        time_us,
        {% if additive %}
            cast(sum(m_{{ meter }}) as decimal(38, 9)) as change,
            cast(null as decimal(38, 9)) as last,
            cast(null as decimal(38, 9)) as low,
            cast(null as decimal(38, 9)) as high
        {% else %}
            cast(null as decimal(38, 9)) as change,
            max_by(m_{{ meter }}, {{ ordered_pair("source", "event_id") }}) as last,
            min(m_{{ meter }}) as low,
            max(m_{{ meter }}) as high
        {% endif %}
    from events
    where m_{{ meter }} is not null
    group by customer, k_{{ meter }}, local_day, bucket_us, time_us
{% endfor %}
