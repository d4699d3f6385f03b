-- Grain: scope, customer, credential, endpoint, grain, moment. The series of each customer, and of its credentials and
-- endpoints; then, over customers, those of each endpoint and of all. Users, addresses and items are a customer's own,
-- so they add up. Where clocks differ by half an hour, what lies in one hour of UTC is summed.
{{ config(materialized="view") }}
with
    over_customers as (
        select
            * exclude (moment_us),
            case
                when grain = 'hour' then {{ whole_divide("moment_us", 3600000000) }} * 3600000000 else moment_us
            end as moment_us
        from {{ ref("watched_series") }}
        where scope in ('customer', 'endpoint')
    ),

    summed as (
        {% for scope, of_rows in [("endpoint", "endpoint"), ("total", "customer")] %}
            {{ "union all" if not loop.first }}
            select
                '{{ scope }}' as scope,
                {{ "endpoint" if scope == "endpoint" else "cast(null as varchar)" }} as endpoint,
                grain,
                moment_us,
                {% for measure in added_up() + counted_apart() %}
                    {% set value = "count(distinct endpoint)" if measure == "endpoints" else
                        "sum(case when scope = '" ~ of_rows ~ "' then " ~ measure ~ " end)" %}
                    cast({{ value }} as bigint) as {{ measure }},
                {% endfor %}
                cast(sum(case when scope = '{{ of_rows }}' then bytes end) as decimal(38, 0)) as bytes
            from over_customers
            {% if scope == "endpoint" %} where scope = 'endpoint' {% endif %}
            group by {{ "endpoint, " if scope == "endpoint" }} grain, moment_us
        {% endfor %}
    ),

    series as (
        select
            case when scope = 'endpoint' then 'customer_endpoint' else scope end as scope,
            customer,
            credential,
            endpoint,
            grain,
            {{ instant_of_us("moment_us") }} as moment,
            {{ (added_up() + counted_apart()) | join(", ") }},
            bytes,
            latency_p50_us,
            latency_p95_us,
            latency_p99_us
        from {{ ref("watched_series") }}
        union all
        select
            summed.scope,
            cast(null as varchar) as customer,
            cast(null as varchar) as credential,
            summed.endpoint,
            summed.grain,
            {{ instant_of_us("summed.moment_us") }} as moment,
            {{ (added_up() + counted_apart()) | join(", ") }},
            summed.bytes,
            latencies.latency_p50_us,
            latencies.latency_p95_us,
            latencies.latency_p99_us
        from summed
        left join
            {{ ref("latency_series") }} as latencies
            on summed.scope = latencies.scope
            and summed.endpoint is not distinct from latencies.endpoint
            and summed.grain = latencies.grain
            and summed.moment_us = latencies.moment_us
    )

select
    *
    {% for part, name in [
        ("denied", "denied"), ("refused", "refused"), ("client_errors", "client_error"), ("server_errors", "server_error")
    ] %}
        , {{ percent_of(part, "requests") }} as {{ name }}_percent
    {% endfor %}
from series
