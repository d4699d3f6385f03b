-- Grain: endpoint, measure, local day. How an endpoint answered on a day, beside the four weeks before. Limits are
-- Tukey's outer fences around their quartiles; a day with fewer than 50 requests is not judged, and is no past.
{% set shares = {
    "error_share": "client_errors + server_errors", "share_2xx": "success", "share_3xx": "redirects",
    "share_4xx": "client_errors", "share_429": "throttled", "share_5xx": "server_errors",
} %}
with
    measured as (
        {% for p in [50, 95, 99] %}
            select endpoint, local_day, 'latency_p{{ p }}_us' as measure, requests, latency_p{{ p }}_us as value
            from {{ ref("endpoint_daily") }}
            where latency_events >= 50
            union all
        {% endfor %}
        {% for name, counted in shares.items() %}
            select
                endpoint,
                local_day,
                '{{ name }}' as measure,
                requests,
                cast({{ whole_divide("(" ~ counted ~ ") * 100000000", "requests") }} as decimal(38, 6)) / 1000000
            from {{ ref("endpoint_daily") }}
            union all
        {% endfor %}
        select
            endpoint,
            local_day,
            'mean_bytes' as measure,
            requests,
            {{ whole_divide("cast(bytes as bigint)", "requests") }}
        from {{ ref("endpoint_daily") }}
    ),
    known as (
        select
            coalesce(endpoint, '(none)') as endpoint,
            local_day,
            measure,
            requests,
            cast(value as decimal(38, 6)) as value,
            {{ days_between("date '1970-01-01'", "local_day") }} as day_number
        from measured
        where requests >= 50
    ),
    compared as (
        select
            *,
            count(*) over past as known_days,
            {{ value_at_share("value", 0.25) }} over past as low,
            {{ value_at_share("value", 0.5) }} over past as baseline,
            {{ value_at_share("value", 0.75) }} over past as high
        from known
        window past as (partition by endpoint, measure order by day_number range between 28 preceding and 1 preceding)
    ),
    limited as (
        select
            *,
            -- Less than this matters to nobody: a quarter of a latency or size, five points of a share.
            case when measure like '%share%' then 5 else baseline * 0.25 end as least
        from compared
    )

select
    endpoint,
    measure,
    local_day,
    requests,
    value,
    known_days,
    cast(case when known_days >= 7 then baseline end as decimal(38, 6)) as baseline,
    cast(
        case when known_days >= 7 then least(low - 3 * (high - low), baseline - least) end as decimal(38, 6)
    ) as lower_limit,
    cast(
        case when known_days >= 7 then greatest(high + 3 * (high - low), baseline + least) end as decimal(38, 6)
    ) as upper_limit,
    known_days >= 7
    and (
        value < least(low - 3 * (high - low), baseline - least)
        or value > greatest(high + 3 * (high - low), baseline + least)
    ) as unusual
from limited
