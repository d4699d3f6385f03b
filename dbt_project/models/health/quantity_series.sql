-- Grain: scope, customer, credential, endpoint, meter, currency, grain, moment. What was used of each meter that adds
-- up, in the scopes of `request_series`, and what it earned.
{{ config(materialized="view") }}
with
    shared as (select * from {{ ref("priced_quantities") }}),

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
