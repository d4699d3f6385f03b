-- The users of a week and of a month that this build wrote are at least those of its busiest day and at most those of
-- all days together, in total and for each application; events, with and without a user, add up.
{{ config(meta={"dagster": {"ref": {"name": "active_users_monthly"}}}) }}
{% set grains = [
    ("weekly", "week_start", week_start("days.local_day"), source("control", "restated_weeks")),
    ("monthly", "month_start", month_start("days.local_day"), source("control", "restated_months")),
] %}
with
    {% for grain, start, of_day, restated in grains %}
        days_{{ grain }} as (
            select
                days.customer,
                days.meter,
                days.application,
                restated.{{ start }},
                max(days.active_users) as at_least,
                sum(days.active_users) as at_most,
                sum(days.events) as events,
                sum(days.events_without_user) as events_without_user
            from {{ ref("active_users_daily") }} as days
            inner join
                {{ restated }} as restated on days.customer = restated.customer and {{ of_day }} = restated.{{ start }}
            group by days.customer, days.meter, days.application, restated.{{ start }}
        ),

        {{ grain }} as (
            select longer.*
            from {{ ref("active_users_" ~ grain) }} as longer
            inner join
                {{ restated }} as restated
                on longer.customer = restated.customer
                and longer.{{ start }} = restated.{{ start }}
        ){{ "," if not loop.last }}
    {% endfor %}
{% for grain, start, of_day, restated in grains %}
    select
        coalesce(days.customer, longer.customer) as customer,
        coalesce(days.meter, longer.meter) as meter,
        coalesce(days.application, longer.application) as application,
        coalesce(days.{{ start }}, longer.{{ start }}) as first_day,
        days.at_least,
        longer.active_users,
        days.at_most
    from days_{{ grain }} as days
    full outer join
        {{ grain }} as longer
        on days.customer = longer.customer
        and days.meter = longer.meter
        and days.application = longer.application
        and days.{{ start }} = longer.{{ start }}
    where
        coalesce(longer.active_users, -1) < coalesce(days.at_least, 0)
        or coalesce(longer.active_users, -1) > coalesce(days.at_most, 0)
        or longer.events is distinct from days.events
        or longer.events_without_user is distinct from days.events_without_user
        {{ "union all" if not loop.last }}
{% endfor %}
