-- A charge on a meter that chooses requests by their status bills those statuses and no others: what its filter leaves
-- out (throttled requests, faults of the server) stands on no line. The statuses are told apart here and in the meter
-- in two ways.
{{ config(meta={"dagster": {"ref": {"name": "charge_quantities"}}}) }}
with
    taken as (
        select segments.line_id, usage.local_day, sum(usage.requests) as requests
        from {{ source("control", "segments") }} as segments
        inner join {{ source("control", "touched_lines") }} as touched on segments.line_id = touched.line_id
        inner join {{ source("control", "meter_statuses") }} as statuses on segments.meter = statuses.meter
        inner join
            {{ ref("status_usage") }} as usage
            on segments.customer = usage.customer
            and statuses.event_type = usage.event_type
            and usage.status >= statuses.from_status
            and usage.status < statuses.to_status
            and usage.local_day >= segments.start_day
            and usage.local_day < segments.end_day
        where segments.measure in ('total', 'cells')
        group by segments.line_id, usage.local_day
    ),

    charged as (
        select quantities.line_id, quantities.local_day, sum(quantities.quantity) as quantity
        from {{ ref("charge_quantities") }} as quantities
        inner join {{ source("control", "segments") }} as segments on quantities.line_id = segments.line_id
        inner join {{ source("control", "touched_lines") }} as touched on segments.line_id = touched.line_id
        where
            segments.measure in ('total', 'cells')
            and segments.meter in (select meter from {{ source("control", "meter_statuses") }})
        group by quantities.line_id, quantities.local_day
    )

select
    coalesce(taken.line_id, charged.line_id) as line_id,
    coalesce(taken.local_day, charged.local_day) as local_day,
    taken.requests,
    charged.quantity as billed
from taken
full outer join charged on taken.line_id = charged.line_id and taken.local_day = charged.local_day
where taken.requests is distinct from charged.quantity
