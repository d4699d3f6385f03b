-- Grain: customer, scope, credential, endpoint, grain, moment. Requests of a customer, of each of its credentials and
-- of each endpoint that it calls, by five minutes, local hours and local days. Different values are counted anew at
-- each grain, from the requests; percentiles are those of latencies rounded up to three significant digits.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail", schema="metering",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
{% set grains = {"5m": "window_us", "hour": "bucket_us", "day": "midnight_us"} %}
with
    requests as (
        select *, {{ days_between("date '1970-01-01'", "local_day") }} * 86400000000 as midnight_us
        from {{ ref("stg_watched") }}
    ),

    counted as (
        {% for scope in ["customer", "credential", "endpoint"] %}
            {% set key = ", " ~ scope if scope != "customer" else "" %}
            {{ "union all" if not loop.first }}
            select
                customer,
                local_day,
                '{{ scope }}' as scope,
                {{ "credential" if scope == "credential" else "cast(null as varchar) as credential" }},
                {{ "endpoint" if scope == "endpoint" else "cast(null as varchar) as endpoint" }},
                case
                    {% for grain, moment in grains.items() %}
                        when grouping({{ moment }}) = 0 then '{{ grain }}'
                    {% endfor %}
                end as grain,
                coalesce({{ grains.values() | join(", ") }}) as moment_us,
                count(*) as requests,
                count(distinct {{ "requests.endpoint" }}) as endpoints,
                count(distinct user_key) as users,
                count(distinct address_key) as addresses,
                count(distinct item) as items,
                count(case when status in (401, 403) then 1 end) as denied,
                count(case when status = 429 then 1 end) as refused,
                count(case when status between 400 and 499 and status <> 429 then 1 end) as client_errors,
                count(case when status between 500 and 599 then 1 end) as server_errors,
                count(case when requests.endpoint = '(unmatched)' then 1 end) as unknown_paths,
                cast(sum(retry) as bigint) as retries,
                cast(sum(bytes) as decimal(38, 0)) as bytes,
                count(latency_us) as latency_events,
                {{ values_at_percentiles("latency_us", [50, 95, 99]) }} as latencies
            from requests
            group by
                grouping sets (
                    {% for moment in grains.values() %}
                        (customer, local_day, {{ moment }} {{ key }}) {{ "," if not loop.last }}
                    {% endfor %}
                )
        {% endfor %}
    )

select
    customer,
    local_day,
    scope,
    credential,
    endpoint,
    grain,
    moment_us,
    {{ (added_up() + counted_apart()) | join(", ") }},
    bytes,
    {% for p in [50, 95, 99] %}
        latencies[{{ loop.index }}] as latency_p{{ p }}_us {{ "," if not loop.last }}
    {% endfor %}
from counted
