-- Grain: scope, customer, credential, endpoint, meter, currency, grain, moment. What was used of each meter that adds
-- up,
-- in the scopes of `request_series`, and its share of what the customer's local day earned in the currency.
{{ config(materialized="view") }}
-- depends_on: {{ ref("watched_quantities") }}
with
    own as (
        {% for column in summed_columns() %}
            select
                scope,
                customer,
                local_day,
                credential,
                endpoint,
                grain,
                moment_us,
                '{{ column[2:] }}' as meter,
                {{ column }} as quantity
            from {{ ref("watched_quantities") }}
            where {{ column }} is not null
            union all
        {% endfor %}
        select
            scope,
            customer,
            local_day,
            credential,
            endpoint,
            grain,
            moment_us,
            cast(null as varchar),
            cast(null as decimal(38, 9))
        from {{ ref("watched_quantities") }}
        where false
    ),

    earned as (
        select customer, meter, currency, local_day, sum(amount) as amount
        from {{ ref("revenue_daily") }}
        where meter is not null
        group by customer, meter, currency, local_day
    ),

    used as (
        select customer, meter, local_day, sum(quantity) as quantity
        from {{ ref("usage_daily") }}
        group by customer, meter, local_day
    ),

    shared as (
        select
            own.*,
            earned.currency,
            case
                when own.scope = 'customer' and own.grain = 'day'
                then earned.amount
                else try(cast(own.quantity * {{ exact_quotient("earned.amount", "used.quantity") }} as decimal(38, 4)))
            end as amount
        from own
        left join
            earned on own.customer = earned.customer and own.meter = earned.meter and own.local_day = earned.local_day
        left join used on own.customer = used.customer and own.meter = used.meter and own.local_day = used.local_day
    ),

    series as (
        select
            case when scope = 'endpoint' then 'customer_endpoint' else scope end as scope,
            customer,
            credential,
            endpoint,
            meter,
            currency,
            grain,
            moment_us,
            quantity,
            amount
        from
            shared
            {% set utc = "case when grain = 'hour' then " ~ whole_divide("moment_us", 3600000000) ~
            " * 3600000000 else moment_us end" %}
        {% for scope, of_rows in [("endpoint", "endpoint"), ("total", "customer")] %}
            union all
            select
                '{{ scope }}',
                cast(null as varchar),
                cast(null as varchar),
                endpoint,
                meter,
                currency,
                grain,
                {{ utc }},
                sum(quantity),
                sum(amount)
            from shared
            where scope = '{{ of_rows }}'
            group by endpoint, meter, currency, grain, {{ utc }}
        {% endfor %}
    )

select
    series.scope,
    series.customer,
    series.credential,
    series.endpoint,
    series.meter,
    meters.unit,
    series.currency,
    series.grain,
    {{ instant_of_us("series.moment_us") }} as moment,
    cast(series.quantity as decimal(38, 9)) as quantity,
    cast(series.amount as decimal(38, 4)) as amount,
    try({{ exact_quotient("series.amount", "series.quantity") }}) as unit_cost
from series
inner join {{ source("control", "meters") }} as meters on series.meter = meters.meter
