{#
  Percentiles, one row for each combination of `keys`: the value at rank ceil(p * n / 100) of the n events, in ascending
  order and whole numbers; `first_us` is the first event of that value. `relation` has the keys and value, events,
  first_us; `percentiles` has p, `percentile`, for each value of one of the keys, `by`.
#}
{% macro ranks(relation, keys, by, percentiles) %}
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
    inner join {{ percentiles }} as ranked on counted.{{ by }} = ranked.{{ by }}
    where
        counted.upto >= {{ whole_divide("ranked.percentile * counted.n + 99", "100") }}
        and counted.upto - counted.events < {{ whole_divide("ranked.percentile * counted.n + 99", "100") }}
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

{# The first local day of what is restated, as a literal: what lies before it is not read. #}
{% macro first_restated(restated, column) %}
    {%- if not execute -%} {{ return("date '1970-01-01'") }}{%- endif -%}
    {%- set first = run_query("select min(" ~ column ~ ") from " ~ source("control", restated)).columns[0].values()[0] -%}
    {{ return("date '" ~ (first or "9999-12-31") ~ "'") }}
{% endmacro %}

{#
  The days of a relation, of the restated grains: which plan and period they belong to, and a number for each
  combination of customer, plan, meter, grain, dimensions and period. Rows are grouped by that number and not by texts.
#}
{% macro cells_of_days(relation, restated, column, of_day) %}
    select
        usage.customer,
        billing.plan,
        usage.meter,
        restated.{{ column }},
        usage.dimensions,
        billing.period_start,
        usage.local_day,
        dense_rank() over (
            order by
                usage.customer, billing.plan, usage.meter, restated.{{ column }}, usage.dimensions, billing.period_start
        ) as cell
    from
        (
            select distinct customer, meter, dimensions, local_day
            from {{ relation }}
            where local_day >= {{ first_restated(restated, column) }}
        ) as usage
    inner join
        {{ source("control", restated) }} as restated
        on usage.customer = restated.customer
        and {{ of_day }} = restated.{{ column }}
        {{ join_billing_days("usage") }}
{% endmacro %}

{# Rows of a relation with the cell of their day. #}
{% macro join_cells(relation, cells) %}
    {{ relation }} as usage
    inner join
        {{ cells }} as cells
        on usage.customer = cells.customer
        and usage.meter = cells.meter
        and usage.dimensions = cells.dimensions
        and usage.local_day = cells.local_day
{% endmacro %}

{#
  Usage of a grain longer than a day, of the restated ones (`restated`, with `column`): from days where these combine, else
  anew from the distinct values, or the ranks of the values, of all its days. `of_day` gives the grain of a day in SQL.
#}
{% macro usage_of_days(restated, column, of_day) %}
    {%- set keys = ["customer", "plan", "meter", column, "endpoint", "method", "dimensions", "period_start"] -%}
    {%- set first = first_restated(restated, column) -%}
    with
        usage_by_day as (
            select
                usage.customer,
                billing.plan,
                usage.meter,
                restated.{{ column }},
                usage.local_day,
                usage.endpoint,
                usage.method,
                usage.dimensions,
                billing.period_start,
                usage.combine,
                usage.quantity
            from {{ ref("usage_by_day") }} as usage
            inner join
                {{ source("control", restated) }} as restated
                on usage.customer = restated.customer
                and {{ of_day }} = restated.{{ column }}
                {{ join_billing_days("usage") }}
            where usage.local_day >= {{ first }}
        ),

        last_days as (
            select *, max(local_day) over (partition by {{ keys | join(", ") }}) as last_day
            from usage_by_day
            where combine = 'last'
        ),

        cells_of_distinct as ({{ cells_of_days(ref("distinct_values"), restated, column, of_day) }}),

        cells_of_ranked as ({{ cells_of_days(ref("values_daily"), restated, column, of_day) }}),

        values_of_cells as (
            select cells.cell, usage.value, usage.events, usage.first_us
            from {{ join_cells(ref("values_daily"), "cells_of_ranked") }}
            where usage.local_day >= {{ first }}
        ),

        percentiles as (
            select distinct cells.cell, meters.percentile
            from cells_of_ranked as cells
            inner join {{ source("control", "meters") }} as meters on cells.meter = meters.meter
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
            {% for cells, counted in [
                ("cells_of_distinct", "distinct"),
                ("cells_of_ranked", ranks("values_of_cells", ["cell"], "cell", "percentiles")),
            ] %}
                union all
                select
                    cells.customer,
                    cells.plan,
                    cells.meter,
                    cells.{{ column }},
                    cast(null as varchar) as endpoint,
                    cast(null as varchar) as method,
                    cells.dimensions,
                    cells.period_start,
                    counted.quantity
                from
                    (
                        {% if counted == "distinct" %}
                            select cells.cell, cast(count(distinct usage.value_key) as decimal(38, 9)) as quantity
                            from {{ join_cells(ref("distinct_values"), cells) }}
                            where usage.local_day >= {{ first }}
                            group by cells.cell
                        {% else %}{{ counted }}
                        {% endif %}
                    ) as counted
                inner join
                    (
                        select distinct cell, customer, plan, meter, {{ column }}, dimensions, period_start
                        from {{ cells }}
                    ) as cells
                    on counted.cell = cells.cell
            {% endfor %}
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
            where usage.local_day >= {{ first_restated(restated, column) }}
        ),

        nameless as (
            select usage.customer, usage.meter, usage.dimensions, restated.{{ column }}, usage.events
            from {{ ref("unmeasured_cells") }} as usage
            inner join
                {{ source("control", restated) }} as restated
                on usage.customer = restated.customer
                and {{ of_day }} = restated.{{ column }}
            where usage.aggregation = 'unique_count' and usage.local_day >= {{ first_restated(restated, column) }}
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
            where days.local_day >= {{ first_restated(restated, column) }}
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
