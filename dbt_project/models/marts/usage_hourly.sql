-- Grain: customer, meter, dimensions, local hour (named by the instant at which it begins), endpoint, method. `plan`
-- and
-- `period_start` are those of the segment that prices the meter on that day. A view over the base facts.
-- depends_on: {{ ref("metered_hours") }}
{{ config(materialized="view") }}
with
    long as (
        select
            customer,
            meter,
            dimensions,
            local_day,
            bucket_us,
            cast(null as varchar) as endpoint,
            cast(null as varchar) as method,
            quantity
        from {{ ref("values_hourly") }}
        union all
        select customer, meter, dimensions, local_day, bucket_us, cast(null as varchar), cast(null as varchar), value
        from {{ ref("latest_hourly") }}
        union all
        select
            hours.customer,
            hours.meter,
            hours.dimensions,
            hours.local_day,
            hours.bucket_us,
            cast(null as varchar),
            cast(null as varchar),
            case
                meters.combine
                when 'sum'
                then hours.level_us
                when 'max'
                then hours.high
                when 'min'
                then hours.low
                else hours.closing
            end
        from {{ ref("carried_hourly") }} as hours
        inner join {{ source("control", "meters") }} as meters on hours.meter = meters.meter
        {% for meter in meters(wide_aggregations()) %}
            union all
            select
                customer,
                '{{ meter[0] }}',
                {{ dimensions_json(meter[0]) }},
                local_day,
                bucket_us,
                endpoint,
                method,
                cast({{ wide_aggregate(meter[1]) }} (m_{{ meter[0] }}) as decimal(38, 9))
            from {{ ref("metered_hours") }}
            where m_{{ meter[0] }} is not null
            group by customer, local_day, bucket_us, endpoint, method {{ dimension_columns(meter[0]) }}
        {% endfor %}
    )

select
    usage.customer,
    billing.plan,
    usage.meter,
    meters.aggregation,
    {{ instant_of_us("usage.bucket_us") }} as hour_start,
    usage.local_day,
    usage.endpoint,
    usage.method,
    usage.dimensions,
    billing.period_start,
    usage.quantity
from long as usage
inner join {{ source("control", "meters") }} as meters on usage.meter = meters.meter {{ join_billing_days("usage") }}
