{#
  The meters of this build whose state lasts: rows (meter, aggregation, additive) of `control.carried_meters`, either
  those that pair starts with stops by session or the others. Names are plain identifiers.
#}
{% macro carried_meters(session) %}
    {%- if not execute -%} {{ return([]) }}{%- endif -%}
    {%- set query -%}
    select meter, aggregation, additive from {{ source("control", "carried_meters") }}
    where {{ "" if session else "not " }}session order by meter
    {%- endset -%}
    {{ return(run_query(query).rows) }}
{% endmacro %}

{# Windows that are built from events: rows (meter, aggregation, window_length, length_us) of `control.meter_windows`. #}
{% macro event_windows() %}
    {%- if not execute -%} {{ return([]) }}{%- endif -%}
    {%- set query -%}
    select meter, aggregation, window_length, length_us from {{ source("control", "meter_windows") }}
    where not carried order by meter, window_length
    {%- endset -%}
    {{ return(run_query(query).rows) }}
{% endmacro %}

{#
  Of points in time (columns time_us, change, last, and `opening`, the state before a series' first point): the state that
  each sets, until which instant it holds, and the last instant at which an event came. NULL before there is a state.
#}
{% macro states_of(points, series, end_us) %}
    select
        *,
        coalesce(lead(time_us) over in_order, {{ end_us }}) as next_us,
        coalesce(
            {{ last_known("last") }} over in_order,
            opening + sum(change) over in_order,
            sum(change) over in_order,
            opening
        ) as state,
        max(case when change is not null or last is not null then time_us end) over in_order as changed_us
    from {{ points }}
    window in_order as (partition by {{ series }} order by time_us)
{% endmacro %}

{# Of states that `states_of` gave: each hour's first, last, least and greatest, its integral, and what set it. #}
{% macro hours_of(states) %}
    select
        customer,
        meter,
        dimensions,
        local_day,
        bucket_us,
        max(next_us) as end_us,
        max(case when time_us = bucket_us then before end) as opening,
        max_by(state, time_us) as closing,
        min(bottom) as low,
        max(top) as high,
        cast(sum(state * (next_us - time_us)) as decimal(38, 9)) as level_us,
        case
            when aggregation in ('max', 'level')
            then min(case when top = hour_top then time_us end)
            when aggregation = 'min'
            then min(case when bottom = hour_bottom then time_us end)
            when aggregation in ('latest', 'sum')
            then coalesce(max(changed_us), max(opening_set_us))
        end as set_us
    from
        (
            select
                *,
                max(top) over (partition by customer, meter, dimensions, bucket_us) as hour_top,
                min(bottom) over (partition by customer, meter, dimensions, bucket_us) as hour_bottom
            from {{ states }}
            where state is not null
        )
    group by customer, meter, dimensions, local_day, bucket_us, aggregation
{% endmacro %}

{# The series of a row's windows: levels and totals add up over the dimensions, readings don't. #}
{% macro window_series(row) -%} case when meters.additive then '{}' else {{ row }}.dimensions end {%- endmacro %}
