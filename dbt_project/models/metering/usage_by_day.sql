-- Grain: customer, meter, dimensions, local day, endpoint, method. Every meter's own quantity of the day; `combine`
-- says how
-- days make more. `set_us` is when a greatest, least or last value was set; for min and max, its hour.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="restated_days", touched_keys=["customer", "local_day"]
) }}
with
    {% for model in ["metered_hours", "distinct_values", "values_daily", "latest_hourly", "carried_hourly"] %}
        {{ model }} as (
            select usage.*
            from {{ ref(model) }} as usage
            inner join
                {{ source("control", "restated_days") }} as restated
                on usage.customer = restated.customer
                and usage.local_day = restated.local_day
        ),
    {% endfor %}

    last_hours as (
        select
            *, row_number() over (partition by customer, meter, dimensions, local_day order by bucket_us desc) as place
        from latest_hourly
    ),

    without_endpoint as (
        {{ days_of_carried("carried_hourly") }}
        union all
        select customer, meter, dimensions, local_day, value as quantity, time_us as set_us
        from last_hours
        where place = 1
        union all
        select customer, meter, dimensions, local_day, cast(count(*) as decimal(38, 9)), cast(null as bigint)
        from distinct_values
        group by customer, meter, dimensions, local_day
        union all
        select customer, meter, dimensions, local_day, quantity, first_us
        from
            (
                {{ ranks("values_daily", ["customer", "meter", "dimensions", "local_day"], "meter", source("control", "meters")) }}
            ) as ranked
    )

select
    usage.customer,
    usage.meter,
    meters.aggregation,
    meters.combine,
    usage.dimensions,
    usage.local_day,
    cast(null as varchar) as endpoint,
    cast(null as varchar) as method,
    usage.quantity,
    usage.set_us
from without_endpoint as usage
inner join {{ source("control", "meters") }} as meters on usage.meter = meters.meter
{% for meter in meters(wide_aggregations()) %}
        {% set keys = "customer, local_day, endpoint, method" ~ dimension_columns(meter[0]) %}
        {% set extreme = meter[1] in ("min", "max") %}
    union all
    select
        customer,
        '{{ meter[0] }}' as meter,
        '{{ meter[1] }}' as aggregation,
        '{{ meter[2] }}' as combine,
        {{ dimensions_json(meter[0]) }} as dimensions,
        local_day,
        endpoint,
        method,
        cast({{ wide_aggregate(meter[1]) }} (m_{{ meter[0] }}) as decimal(38, 9)) as quantity,
        {{ "min(case when m_" ~ meter[0] ~ " = extreme then bucket_us end)" if extreme else "cast(null as bigint)" }}
        as set_us
    from
        {% if extreme %}
            (
                select *, {{ meter[1] }} (m_{{ meter[0] }}) over (partition by {{ keys }}) as extreme from metered_hours
            ) as hours
        {% else %} metered_hours
        {% endif %}
    where m_{{ meter[0] }} is not null
    group by {{ keys }}
{% endfor %}
