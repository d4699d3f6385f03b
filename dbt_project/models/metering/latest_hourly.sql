-- Grain: customer, meter, dimensions, local hour. The last reading of the hour: of the greatest (time, source, event
-- id).
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
with
    events as (
        select
            events.customer,
            events.local_day,
            events.bucket_us,
            events.time_us,
            events.source,
            events.event_id
            {{ columns_of_dimensions(meters(["latest"])) }}
            {% for meter in meters(["latest"]) %}, m_{{ meter[0] }} {% endfor %}
        from {{ touched("stg_events") }} as events
        where false {% for meter in meters(["latest"]) %} or m_{{ meter[0] }} is not null {% endfor %}
    ),

    readings as (
        select
            cast(null as varchar) as customer,
            cast(null as varchar) as meter,
            cast(null as varchar) as dimensions,
            cast(null as date) as local_day,
            cast(null as bigint) as bucket_us,
            cast(null as decimal(38, 9)) as value,
            cast(null as bigint) as time_us,
            cast(null as varchar) as source,
            cast(null as varchar) as event_id,
            cast(null as bigint) as place
        where false
        {% for meter in meters(["latest"]) %}
            union all
            select
                customer,
                '{{ meter[0] }}' as meter,
                {{ dimensions_json(meter[0]) }} as dimensions,
                local_day,
                bucket_us,
                m_{{ meter[0] }} as value,
                time_us,
                source,
                event_id,
                row_number() over (
                    partition by customer, local_day, bucket_us {{ dimension_columns(meter[0]) }}
                    order by time_us desc, source desc, event_id desc
                ) as place
            from events
            where m_{{ meter[0] }} is not null
        {% endfor %}
    )

select customer, meter, dimensions, local_day, bucket_us, value, time_us, source, event_id
from readings
where place = 1
