-- Grain: customer, meter, window length, window. Values that watermarks choose from, over all endpoints and methods.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
with
    hours as (
        select hours.*
        from {{ ref("metered_hours") }} as hours
        inner join
            {{ source("control", "touched_days") }} as touched
            on hours.customer = touched.customer
            and hours.local_day = touched.local_day
    ),

    hourly as (
        select
            cast(null as varchar) as customer,
            cast(null as varchar) as meter,
            cast(null as varchar) as aggregation,
            cast(null as date) as local_day,
            cast(null as bigint) as window_us,
            cast(null as decimal(38, 9)) as value
        where false
        {% for meter in meters(["count", "sum", "max"]) %}
            union all
            select
                customer,
                '{{ meter[0] }}' as meter,
                '{{ meter[1] }}' as aggregation,
                local_day,
                bucket_us as window_us,
                cast({{ "max" if meter[1] == "max" else "sum" }} (m_{{ meter[0] }}) as decimal(38, 9)) as value
            from hours
            where m_{{ meter[0] }} is not null
            group by customer, local_day, bucket_us
        {% endfor %}
    )

select customer, meter, aggregation, '1h' as window_length, local_day, window_us, value
from hourly
union all
select
    customer,
    meter,
    aggregation,
    '1d' as window_length,
    local_day,
    min(window_us) as window_us,
    cast(case when aggregation = 'max' then max(value) else sum(value) end as decimal(38, 9)) as value
from hourly
group by customer, meter, aggregation, local_day
