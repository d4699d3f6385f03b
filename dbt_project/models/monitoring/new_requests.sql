-- Grain: customer, local hour. Requests by programs, and from countries or networks, that are new to the customer: it
-- had none of them on the 21 local days before. In its first 21 days nothing is new, as all of it would be.
{{ config(materialized="view") }}
with
    days as (select distinct customer, what, value, local_day from {{ ref("client_hours") }} where what <> 'feed'),

    before as (
        select
            *,
            lag(local_day) over (partition by customer, what, value order by local_day) as day_before,
            min(local_day) over (partition by customer) as first_day
        from days
    ),

    fresh as (
        select customer, what, value, local_day
        from before
        where
            local_day >= {{ days_after("first_day", 21) }}
            and (day_before is null or local_day > {{ days_after("day_before", 21) }})
    )

select
    hours.customer,
    hours.local_day,
    hours.bucket_us as hour_us,
    {% for what, name in [("origin", "country"), ("client", "client")] %}
        cast(
            sum(case when hours.what = '{{ what }}' then hours.requests else 0 end) as bigint
        ) as new_{{ name }}_requests
        {{ "," if not loop.last }}
    {% endfor %}
from {{ ref("client_hours") }} as hours
inner join
    fresh
    on hours.customer = fresh.customer
    and hours.what = fresh.what
    and hours.value = fresh.value
    and hours.local_day = fresh.local_day
group by hours.customer, hours.local_day, hours.bucket_us
