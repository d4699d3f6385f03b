-- Grain: scope, customer, credential, endpoint, grain, moment, meter, currency. The quantities of
-- `watched_quantities`, a row for each meter, with their share of what the customer's local day earned in the currency.
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
            cast(null as varchar) as meter,
            cast(null as decimal(38, 9)) as quantity
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
    )

select
    own.*,
    earned.currency,
    case
        when own.scope = 'customer' and own.grain = 'day'
        then earned.amount
        else {{ share_of("earned.amount", "own.quantity", "used.quantity") }}
    end as amount
from own
left join earned on own.customer = earned.customer and own.meter = earned.meter and own.local_day = earned.local_day
left join used on own.customer = used.customer and own.meter = used.meter and own.local_day = used.local_day
