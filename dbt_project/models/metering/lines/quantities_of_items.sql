-- Grain: line, local day, rank. Days on which items are there, by the day of their addition and what they were the n-th
-- of then. Those from before the segment are added on its first day, in the order in which they came. A day on which an
-- item is removed and added again is one day.
{{ config(materialized="view", schema="staging") }}
with
    stays as (
        select
            segments.line_id,
            segments.end_day,
            stays.from_day >= segments.start_day as is_new,
            greatest(
                segments.start_day, stays.from_day, coalesce({{ days_after("stays.before_day", 1) }}, stays.from_day)
            ) as first_day,
            least(
                coalesce(stays.to_day, {{ days_after("segments.end_day", -1) }}),
                {{ days_after("segments.end_day", -1) }}
            ) as last_day,
            stays.from_us,
            stays.from_source,
            stays.from_event_id,
            stays.to_day,
            stays.to_us,
            stays.to_source,
            stays.to_event_id
        from {{ ref("touched_segments") }} as segments
        inner join
            {{ ref("item_stays") }} as stays
            on segments.customer = stays.customer
            and segments.meter = stays.meter
            and stays.from_day < segments.end_day
            and coalesce(stays.to_day, segments.start_day) >= segments.start_day
        where segments.measure = 'items'
    ),

    moves as (
        select
            line_id,
            first_day,
            last_day,
            is_new,
            from_us as time_us,
            from_source as source,
            from_event_id as event_id,
            1 as change
        from stays
        union all
        select line_id, first_day, last_day, true as is_new, to_us, to_source, to_event_id, -1 as change
        from stays
        where to_day < end_day
    ),

    ranked as (
        select
            *,
            sum(change) over (
                partition by line_id
                order by is_new, time_us, source, event_id
                rows between unbounded preceding and current row
            ) as rank
        from moves
    )

select
    line_id,
    first_day as local_day,
    cast(rank as bigint) as rank,
    cast(sum({{ days_between("first_day", "last_day") }} + 1) as decimal(38, 9)) as quantity
from ranked
where change > 0 and first_day <= last_day
group by line_id, first_day, rank
