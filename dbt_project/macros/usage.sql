{#
  Percentiles, one row for each combination of `keys`: the value at rank ceil(p * n / 100) of the n events, in ascending
  order and whole numbers, `p` being that of the meter; `first_us` is the first event of that value. `relation` has the
  keys, meter among them, and value, events, first_us.
#}
{% macro ranks(relation, keys) %}
    select {% for key in keys %} counted.{{ key }}, {% endfor %} counted.value as quantity, counted.first_us
    from
        (
            select
                *,
                sum(events) over (
                    partition by {{ keys | join(", ") }} order by value rows between unbounded preceding and current row
                ) as upto,
                sum(events) over (partition by {{ keys | join(", ") }}) as n
            from
                (
                    select {{ keys | join(", ") }}, value, sum(events) as events, min(first_us) as first_us
                    from {{ relation }}
                    where value is not null
                    group by {{ keys | join(", ") }}, value
                ) as valued
        ) as counted
    inner join {{ source("control", "meters") }} as meters on counted.meter = meters.meter
    where
        counted.upto >= {{ whole_divide("meters.percentile * counted.n + 99", "100") }}
        and counted.upto - counted.events < {{ whole_divide("meters.percentile * counted.n + 99", "100") }}
{% endmacro %}

{# Names the segment that prices the meter on a local day: its plan and the billing period's first day. #}
{% macro join_billing_days(usage) %}
    left join
        {{ source("control", "billing_days") }} as billing
        on {{ usage }}.customer = billing.customer
        and {{ usage }}.meter = billing.meter
        and {{ usage }}.local_day >= billing.start_day
        and {{ usage }}.local_day < billing.end_day
{% endmacro %}

{#
  Usage of a grain longer than a day, of the restated ones (`restated`, with `column`): from days where these combine, else
  anew from the distinct values, or the ranks of the values, of all its days. `of_day` gives the grain of a day in SQL.
#}
{% macro usage_of_days(restated, column, of_day) %}
    {%- set keys = ["customer", "plan", "meter", column, "endpoint", "method", "dimensions", "period_start"] -%}
    with
        {% for model, columns in [
            ("usage_by_day", ["aggregation", "combine", "endpoint", "method", "quantity"]),
            ("distinct_values", ["value_key"]),
            ("values_daily", ["value", "events", "first_us"]),
        ] %}
            {{ model }} as (
                select
                    usage.customer,
                    billing.plan,
                    usage.meter,
                    restated.{{ column }},
                    usage.local_day,
                    usage.dimensions,
                    billing.period_start,
                    {% if "endpoint" not in columns %}
                        cast(null as varchar) as endpoint, cast(null as varchar) as method,
                    {% endif %}
                    {% for name in columns %} usage.{{ name }}{{ ", " if not loop.last }}{% endfor %}
                from {{ ref(model) }} as usage
                inner join
                    {{ source("control", restated) }} as restated
                    on usage.customer = restated.customer
                    and {{ of_day }} = restated.{{ column }}
                    {{ join_billing_days("usage") }}
            ),
        {% endfor %}

        last_days as (
            select *, max(local_day) over (partition by {{ keys | join(", ") }}) as last_day
            from usage_by_day
            where combine = 'last'
        ),

        long as (
            {% for combine in ["sum", "min", "max"] %}
                select {{ keys | join(", ") }}, cast({{ combine }} (quantity) as decimal(38, 9)) as quantity
                from usage_by_day
                where combine = '{{ combine }}'
                group by {{ keys | join(", ") }}
                union all
            {% endfor %}
            select {{ keys | join(", ") }}, quantity
            from last_days
            where local_day = last_day
            union all
            select {{ keys | join(", ") }}, cast(count(distinct value_key) as decimal(38, 9)) as quantity
            from distinct_values
            group by {{ keys | join(", ") }}
            union all
            select {{ keys | join(", ") }}, quantity
            from ({{ ranks("values_daily", keys) }}) as ranked
        )

    select
        long.customer,
        long.plan,
        long.meter,
        meters.aggregation,
        long.{{ column }},
        long.endpoint,
        long.method,
        long.dimensions,
        long.period_start,
        long.quantity
    from long
    inner join {{ source("control", "meters") }} as meters on long.meter = meters.meter
{% endmacro %}

{#
  Active users of a grain, of the restated ones: distinct values of its days, by application (the meter's dimensions),
  and for the customer without regard to them, as `(all)`. `of_day` gives the grain of a day in SQL.
#}
{% macro active_users_of_days(restated, column, of_day) %}
    with
        users as (
            select usage.customer, usage.meter, usage.dimensions, restated.{{ column }}, usage.value_key, usage.events
            from {{ ref("distinct_values") }} as usage
            inner join
                {{ source("control", restated) }} as restated
                on usage.customer = restated.customer
                and {{ of_day }} = restated.{{ column }}
        ),

        nameless as (
            select usage.customer, usage.meter, usage.dimensions, restated.{{ column }}, usage.events
            from {{ ref("unmeasured_cells") }} as usage
            inner join
                {{ source("control", restated) }} as restated
                on usage.customer = restated.customer
                and {{ of_day }} = restated.{{ column }}
            where usage.aggregation = 'unique_count'
        ),

        counted as (
            {% for application, only in [("'(all)'", ""), ("dimensions", "where dimensions <> '{}'")] %}
                select
                    customer,
                    meter,
                    {{ application }} as application,
                    {{ column }},
                    count(distinct value_key) as active_users,
                    sum(events) as events,
                    0 as events_without_user
                from users {{ only }}
                group by customer, meter, {{ column }} {{ ", dimensions" if only }}
                union all
                select customer, meter, {{ application }} as application, {{ column }}, 0, 0, sum(events)
                from nameless {{ only }}
                group by customer, meter, {{ column }} {{ ", dimensions" if only }} {{ "union all" if not loop.last }}
            {% endfor %}
        )

    select
        customer,
        meter,
        application,
        {{ column }},
        cast(sum(active_users) as bigint) as active_users,
        cast(sum(events) as bigint) as events,
        cast(sum(events_without_user) as bigint) as events_without_user
    from counted
    group by customer, meter, application, {{ column }}
{% endmacro %}

{#
  Rows of a mart of weeks or months that are not what its days make of them, of the restated ones: the rest was tested
  when it was written. `of_day` gives the grain of a day in SQL.
#}
{% macro days_against_longer(mart, restated, column, of_day) %}
    {%- set keys = ["customer", "plan", "meter", column, "endpoint", "method", "dimensions", "period_start"] -%}
    with
        days as (
            select days.*, {{ of_day }} as {{ column }}, meters.combine
            from {{ ref("usage_daily") }} as days
            inner join
                {{ source("control", restated) }} as restated
                on days.customer = restated.customer
                and {{ of_day }} = restated.{{ column }}
            inner join {{ source("control", "meters") }} as meters on days.meter = meters.meter
        ),

        last_days as (
            select *, max(local_day) over (partition by {{ keys | join(", ") }}) as last_day
            from days
            where combine = 'last'
        ),

        compared as (
            {% for combine in ["sum", "min", "max"] %}
                select {{ keys | join(", ") }}, {{ combine }} (quantity) as of_days, null as of_longer
                from days
                where combine = '{{ combine }}'
                group by {{ keys | join(", ") }}
                union all
            {% endfor %}
            select {{ keys | join(", ") }}, quantity as of_days, null as of_longer
            from last_days
            where local_day = last_day
            union all
            select {% for key in keys %} longer.{{ key }}, {% endfor %} null as of_days, longer.quantity as of_longer
            from {{ ref(mart) }} as longer
            inner join
                {{ source("control", restated) }} as restated
                on longer.customer = restated.customer
                and longer.{{ column }} = restated.{{ column }}
            where longer.aggregation not in ('unique_count', 'percentile')
        )

    select {{ keys | join(", ") }}, sum(of_days) as quantity_of_days, sum(of_longer) as quantity_of_longer
    from compared
    group by {{ keys | join(", ") }}
    having sum(of_days) is distinct from sum(of_longer)
{% endmacro %}

{# What lasts, by the day, from its hours: the sum, the greatest, the least or the last, and when that was set. #}
{% macro days_of_carried(hours) %}
    select
        customer,
        meter,
        dimensions,
        local_day,
        cast(
            case
                when combine = 'sum'
                then sum(level_us)
                when combine = 'max'
                then max(top)
                when combine = 'min'
                then min(bottom)
                else max(case when is_last then closing end)
            end as decimal(38, 9)
        ) as quantity,
        case
            when combine = 'max'
            then min(case when high = top then set_us end)
            when combine = 'min'
            then min(case when low = bottom then set_us end)
            when combine = 'last'
            then max(case when is_last then set_us end)
        end as set_us
    from
        (
            select
                hours.*,
                meters.combine,
                max(hours.high) over in_day as top,
                min(hours.low) over in_day as bottom,
                max(hours.bucket_us) over in_day = hours.bucket_us as is_last
            from {{ hours }} as hours
            inner join {{ source("control", "meters") }} as meters on hours.meter = meters.meter
            window in_day as (partition by hours.customer, hours.meter, hours.dimensions, hours.local_day)
        ) as placed
    group by customer, meter, dimensions, local_day, combine
{% endmacro %}
