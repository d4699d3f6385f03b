-- What a charge prices on a day, in whatever parts, is all usage of its meter on that day: nothing lost, nothing
-- doubled. Lines that this build measured.
{{ config(meta={"dagster": {"ref": {"name": "charge_quantities"}}}) }}
with
    segments as (select * from {{ ref("touched_segments") }} where measure in ('total', 'cells', 'events')),

    days as (
        select segments.line_id, usage.local_day, sum(usage.quantity) as quantity
        from segments
        inner join
            {{ ref("usage_by_day") }} as usage
            on segments.customer = usage.customer
            and segments.meter = usage.meter
            and usage.local_day >= segments.start_day
            and usage.local_day < segments.end_day
        group by segments.line_id, usage.local_day
    ),

    charged as (
        select quantities.line_id, quantities.local_day, sum(quantities.quantity) as quantity
        from {{ ref("charge_quantities") }} as quantities
        inner join segments on quantities.line_id = segments.line_id
        group by quantities.line_id, quantities.local_day
    )

select
    coalesce(days.line_id, charged.line_id) as line_id,
    coalesce(days.local_day, charged.local_day) as local_day,
    days.quantity as usage_of_day,
    charged.quantity as charged
from days
full outer join charged on days.line_id = charged.line_id and days.local_day = charged.local_day
where days.quantity is distinct from charged.quantity
