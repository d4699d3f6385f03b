-- Grain: customer (NULL for all), meter, currency, grain, moment. What was used of a meter that adds up, by hours of
-- UTC and local days; of a day, in each currency in which it earned something, what it earned and a unit came to.
{{ config(materialized="view") }}
with
    meters as (select meter, unit from {{ source("control", "meters") }} where combine = 'sum' and not carried),

    used as (
        select customer, meter, 'hour' as grain, {{ dbt.date_trunc("hour", "hour_start") }} as moment, quantity
        from {{ ref("usage_hourly") }}
        union all
        select customer, meter, 'day', cast(local_day as timestamp), quantity
        from {{ ref("usage_daily") }}
    ),

    earned as (
        select customer, meter, currency, 'day' as grain, cast(local_day as timestamp) as moment, sum(amount) as amount
        from {{ ref("revenue_daily") }}
        where meter is not null
        group by customer, meter, currency, local_day
    ),

    series as (
        {% for customer in ["customer", "cast(null as varchar)"] %}
            {{ "union all" if not loop.first }}
            select used.customer, used.meter, earned.currency, used.grain, used.moment, used.quantity, earned.amount
            from
                (
                    select {{ customer }} as customer, meter, grain, moment, sum(quantity) as quantity
                    from used
                    group by {{ "customer, " if loop.first }} meter, grain, moment
                ) as used
            left join
                (
                    select {{ customer }} as customer, meter, currency, grain, moment, sum(amount) as amount
                    from earned
                    group by {{ "customer, " if loop.first }} meter, currency, grain, moment
                ) as earned
                on used.customer is not distinct from earned.customer
                and used.meter = earned.meter
                and used.grain = earned.grain
                and used.moment = earned.moment
        {% endfor %}
    )

select
    series.customer,
    series.meter,
    meters.unit,
    series.currency,
    series.grain,
    series.moment,
    cast(series.quantity as decimal(38, 9)) as quantity,
    cast(series.amount as decimal(38, 4)) as amount,
    -- Whole numbers: the amount in units of 10 to the -17, by the quantity in units of 10 to the -9. NULL where
    -- there are more digits than fit.
    try(
        case
            when series.quantity > 0
            then
                cast(
                    {{ whole_divide(
                        "cast(series.amount * 10000 as hugeint) * 10000000000000",
                        "cast(cast(series.quantity as decimal(38, 9)) * 1000000000 as hugeint)"
                    ) }} as decimal(28, 0)
                )
                * cast('0.00000001' as decimal(8, 8))
        end
    ) as unit_cost
from series
inner join meters on series.meter = meters.meter
