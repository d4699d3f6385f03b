-- Grain: customer, meter, window length, window. What lies in each window that has an event, over all endpoints,
-- methods
-- and dimensions: hours and days from the hours, other windows and distinct values from events.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
with
    hours as (select hours.* from {{ touched("metered_hours") }} as hours),

    events as (select events.* from {{ touched("stg_events") }} as events),

    days as (
        select touched.customer, touched.local_day, calendar.start_us
        from {{ source("control", "touched_days") }} as touched
        inner join {{ source("control", "customers") }} as customers on touched.customer = customers.customer
        inner join
            {{ source("control", "zone_days") }} as calendar
            on customers.zone = calendar.zone
            and touched.local_day = calendar.local_day
    ),

    valued as (
        select
            cast(null as varchar) as customer,
            cast(null as varchar) as meter,
            cast(null as varchar) as window_length,
            cast(null as date) as local_day,
            cast(null as bigint) as window_us,
            cast(null as decimal(38, 9)) as value
        where false
        {% for meter, aggregation, length, length_us in event_windows() %}
                {%- set from_hours = length in ("1h", "1d") and aggregation != "unique_count" %}
            union all
            select
                customer,
                '{{ meter }}' as meter,
                '{{ length }}' as window_length,
                local_day,
                {% if length == "1d" %} cast(null as bigint)
                {% elif length == "1h" %} bucket_us
                {% else %} time_us - (time_us + offset_us) % {{ length_us }}
                {% endif %} as window_us,
                {% if aggregation == "unique_count" %} cast(count(distinct m_{{ meter }}) as decimal(38, 9))
                {% elif aggregation == "max" %} cast(max(m_{{ meter }}) as decimal(38, 9))
                {% else %} cast(sum(m_{{ meter }}) as decimal(38, 9))
                {% endif %} as value
            from {{ "hours" if from_hours else "events" }}
            where m_{{ meter }} is not null
            group by 1, 4, 5
        {% endfor %}
    )

select
    valued.customer,
    valued.meter,
    valued.window_length,
    valued.local_day,
    coalesce(valued.window_us, days.start_us) as window_us,
    valued.value
from valued
inner join days on valued.customer = days.customer and valued.local_day = days.local_day
