-- Grain: customer, meter, local day, endpoint, method. The base fact made long, for meters whose days come from hours.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="restated_days", touched_keys=["customer", "local_day"]
) }}
with
    hours as (
        select hours.*
        from {{ ref("usage_hourly") }} as hours
        inner join
            {{ source("control", "restated_days") }} as touched
            on hours.customer = touched.customer
            and hours.local_day = touched.local_day
    )

select
    cast(null as varchar) as customer,
    cast(null as varchar) as meter,
    cast(null as varchar) as aggregation,
    cast(null as date) as local_day,
    cast(null as varchar) as endpoint,
    cast(null as varchar) as method,
    cast(null as decimal(38, 9)) as quantity
where false
{% for meter in meters(["count", "sum", "max"]) %}
    union all
    select
        customer,
        '{{ meter[0] }}' as meter,
        '{{ meter[1] }}' as aggregation,
        local_day,
        endpoint,
        method,
        cast({{ "max" if meter[1] == "max" else "sum" }} (m_{{ meter[0] }}) as decimal(38, 9)) as quantity
    from hours
    where m_{{ meter[0] }} is not null
    group by customer, local_day, endpoint, method
{% endfor %}
