-- Grain: scope, customer, credential, endpoint, grain, moment. The series of each customer, and of its credentials and
-- endpoints; then, as sums without different values and percentiles, those of each endpoint and of all. Where clocks
-- differ by half an hour, what lies in one hour of UTC is summed.
{{ config(materialized="view") }}
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
{% for scope, of_rows in [("endpoint", "endpoint"), ("total", "customer")] %}
    union all
    select
        '{{ scope }}' as scope,
        cast(null as varchar) as customer,
        cast(null as varchar) as credential,
        endpoint,
        grain,
        {{ instant_of_us("moment_us") }} as moment,
        {% for measure in added_up() %} cast(sum({{ measure }}) as bigint) as {{ measure }}, {% endfor %}
        {% for measure in counted_apart() %} cast(null as bigint) as {{ measure }}, {% endfor %}
        cast(sum(bytes) as decimal(38, 0)) as bytes,
        cast(null as bigint) as latency_p50_us,
        cast(null as bigint) as latency_p95_us,
        cast(null as bigint) as latency_p99_us
    from
        (
            select
                * exclude (moment_us),
                case
                    when grain = 'hour' then {{ whole_divide("moment_us", 3600000000) }} * 3600000000 else moment_us
                end as moment_us
            from {{ ref("watched_series") }}
            where scope = '{{ of_rows }}'
        ) as series
    group by endpoint, grain, moment_us
{% endfor %}
