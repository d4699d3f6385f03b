-- The users of a week and of a month are at least those of its busiest day and at most those of all days together, in
-- total and for each application; events, with and without a user, add up.
{{ config(meta={"dagster": {"ref": {"name": "active_users_monthly"}}}) }}
with
    {% for grain, start in [("weekly", "week_start"), ("monthly", "month_start")] %}
        {{ grain }} as (
            select
                customer,
                meter,
                application,
                {{ week_start("local_day") if grain == "weekly" else month_start("local_day") }} as first_day,
                max(active_users) as at_least,
                sum(active_users) as at_most,
                sum(events) as events,
                sum(events_without_user) as events_without_user
            from {{ ref("active_users_daily") }}
            group by
                customer,
                meter,
                application,
                {{ week_start("local_day") if grain == "weekly" else month_start("local_day") }}
        ){{ "," if not loop.last }}
    {% endfor %}
{% for grain, start in [("weekly", "week_start"), ("monthly", "month_start")] %}
    select
        coalesce(days.customer, longer.customer) as customer,
        coalesce(days.meter, longer.meter) as meter,
        coalesce(days.application, longer.application) as application,
        coalesce(days.first_day, longer.{{ start }}) as first_day,
        days.at_least,
        longer.active_users,
        days.at_most
    from {{ grain }} as days
    full outer join
        {{ ref("active_users_" ~ grain) }} as longer
        on days.customer = longer.customer
        and days.meter = longer.meter
        and days.application = longer.application
        and days.first_day = longer.{{ start }}
    where
        coalesce(longer.active_users, -1) < coalesce(days.at_least, 0)
        or coalesce(longer.active_users, -1) > coalesce(days.at_most, 0)
        or longer.events is distinct from days.events
        or longer.events_without_user is distinct from days.events_without_user
        {{ "union all" if not loop.last }}
{% endfor %}
