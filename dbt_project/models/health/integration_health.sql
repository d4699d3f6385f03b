-- Grain: customer, client, version, local day. What went wrong for an integration, beside its customer's four weeks
-- before with any version of the client, and beside other customers with it that day.
-- `struggling` needs 20 requests, 10 errors, and twice the share of errors of both and ten points more; where there is
-- nothing to compare (fewer than 50 requests), half of the requests.
{% set kinds = {
    "unauthorised": "status in (401, 403)", "malformed": "status in (400, 422)", "not_found": "status = 404",
    "throttled": "status = 429", "server_errors": "status between 500 and 599",
    "other_errors": "status between 400 and 499 and status not in (400, 401, 403, 404, 422, 429)",
} %}
with
    days as (
        select
            customer,
            client,
            version,
            local_day,
            {{ days_between("date '1970-01-01'", "local_day") }} as day_number,
            cast(sum(requests) as bigint) as requests,
            {% for kind, condition in kinds.items() %}
                cast(sum(case when {{ condition }} then requests else 0 end) as bigint) as {{ kind }},
            {% endfor %}
            cast(sum(case when status between 400 and 599 then requests else 0 end) as bigint) as errors,
            cast(sum(case when listed.endpoint is not null then requests else 0 end) as bigint) as deprecated_calls,
            (
                client in (select name from {{ source("record", "deprecated_clients") }})
                or client || '/' || version in (select name from {{ source("record", "deprecated_clients") }})
            ) as deprecated_client
        from {{ ref("client_daily") }} as counted
        left join {{ source("record", "deprecated_endpoints") }} as listed on counted.endpoint = listed.endpoint
        group by customer, client, version, local_day
    ),
    own as (
        select customer, client, day_number, sum(requests) as requests, sum(errors) as errors
        from days
        group by customer, client, day_number
    ),
    compared as (
        select
            customer,
            client,
            day_number,
            coalesce(sum(requests) over four_weeks, 0) as past_requests,
            coalesce(sum(errors) over four_weeks, 0) as past_errors,
            sum(requests) over everyone - requests as others_requests,
            sum(errors) over everyone - errors as others_errors
        from own
        window
            everyone as (partition by client, day_number),
            four_weeks as (partition by customer, client order by day_number range between 28 preceding and 1 preceding)
    ),
    judged as (
        select
            days.*,
            cast(past_requests as bigint) as past_requests,
            cast(past_errors as bigint) as past_errors,
            cast(others_requests as bigint) as others_requests,
            cast(others_errors as bigint) as others_errors,
            requests >= 20 and errors >= 10 and (past_requests >= 50 or others_requests >= 50 or errors * 2 >= requests)
            -- Shares are compared in whole numbers: errors / requests >= 2 x past errors / past requests + 1 / 10.
            {% for known in ["past", "others"] %}
                and (
                    {{ known }}_requests < 50
                    or errors * {{ known }}_requests * 10 >= requests * (20 * {{ known }}_errors + {{ known }}_requests)
                )
            {% endfor %} as struggling
        from days
        inner join compared using (customer, client, day_number)
    )

select
    customer,
    client,
    version,
    local_day,
    requests,
    errors,
    {% for kind in kinds %} {{ kind }}, {% endfor %}
    deprecated_calls,
    deprecated_client,
    past_requests,
    past_errors,
    others_requests,
    others_errors,
    struggling,
    case
        when not struggling
        then null
        {% for kind in kinds %} when {{ kind }} = greatest({{ kinds | join(", ") }}) then '{{ kind }}' {% endfor %}
    end as reason
from judged
