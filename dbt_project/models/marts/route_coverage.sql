-- Grain: source. How much of its traffic stands under a route, and how many of its routes had any traffic.
with
    seen as (
        select
            feed,
            cast(sum(events) as bigint) as events,
            count(distinct case when endpoint not in ('(unmatched)', '(other)') then endpoint end) as routes_used,
            sum(case when endpoint not in ('(unmatched)', '(other)') then events else 0 end) as matched,
            sum(case when endpoint = '(unmatched)' then events else 0 end) as unmatched,
            sum(case when endpoint = '(other)' then events else 0 end) as without_routes,
            sum(case when endpoint is null then events else 0 end) as without_path
        from {{ ref("endpoints_by_file") }}
        group by feed
    ),

    written as (
        select source, count(distinct path) as routes from {{ source("control", "route_templates") }} group by source
    )

select
    seen.feed as source,
    cast(coalesce(written.routes, 0) as bigint) as routes,
    cast(seen.routes_used as bigint) as routes_used,
    seen.events,
    cast(seen.matched as bigint) as matched,
    cast(seen.unmatched as bigint) as unmatched,
    cast(seen.without_routes as bigint) as without_routes,
    cast(seen.without_path as bigint) as without_path
from seen
left join written on seen.feed = written.source
