-- Grain: scope (`endpoint`, `total`), endpoint, grain, moment. Latencies over all customers at rank ceil(p x n / 100).
-- A moment is made again, whole, where it lies on a touched day or beside one: local days begin on the day before or
-- end on the next one of UTC.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail", schema="metering",
    touched_by="utc_days", touched_keys=["utc_day"]
) }}
{% set moments = {
    "5m": "window_us",
    "hour": whole_divide("bucket_us", 3600000000) ~ " * 3600000000",
    "day": days_between("date '1970-01-01'", "local_day") ~ " * 86400000000",
} %}
with
    moments as (
        {% for grain, moment in moments.items() %}
            {{ "union all" if not loop.first }}
            select endpoint, '{{ grain }}' as grain, {{ moment }} as moment_us, latency_us, sum(requests) as requests
            from {{ ref("latency_counts") }}
            -- Before they are counted: what isn't touched costs a look at its day.
            where
                {{ days_after("date '1970-01-01'", whole_divide(moment, 86400000000)) }}
                in (select utc_day from {{ touched_relation() }} as days)
            group by endpoint, {{ moment }}, latency_us
        {% endfor %}
    ),

    touched as (
        select *, {{ days_after("date '1970-01-01'", whole_divide("moment_us", 86400000000)) }} as utc_day from moments
    ),

    counts as (
        select 'endpoint' as scope, endpoint, grain, moment_us, utc_day, latency_us, requests
        from touched
        union all
        select 'total' as scope, cast(null as varchar), grain, moment_us, utc_day, latency_us, sum(requests)
        from touched
        group by grain, moment_us, utc_day, latency_us
    ),

    placed as (
        select
            *,
            sum(requests) over (
                partition by scope, endpoint, grain, moment_us
                order by latency_us
                rows between unbounded preceding and current row
            ) as upto,
            sum(requests) over (partition by scope, endpoint, grain, moment_us) as measured
        from counts
    )

select
    scope,
    endpoint,
    grain,
    moment_us,
    utc_day
    {% for p in [50, 95, 99] %}
        , min(case when upto * 100 >= {{ p }} * measured then latency_us end) as latency_p{{ p }}_us
    {% endfor %}
from placed
group by scope, endpoint, grain, moment_us, utc_day
