-- Grain: line, value of its dimension and local day. Distinct values: on the first day in the period, or of each day or
-- week. A line by value (`line_per`) counts each value of the dimension by itself.
{{ config(materialized="view") }}
{% set line_value = "coalesce(" ~ json_field("users.dimensions", "segments.line_per") ~ ", '')" %}
with
    segments as (select * from {{ ref("touched_segments") }} where measure in ('unique', 'active')),

    -- A value counts once in a period, in whichever segment of the subscription its first day is. After a change of
    -- interval another period may begin on the same day.
    members as (
        select
            segments.line_id,
            case when segments.by_dimension = 'each' then users.dimensions else '' end as dimensions,
            {{ line_value }} as value,
            users.value_key,
            min(users.local_day) as local_day
        from segments
        inner join
            segments as parts
            on segments.subscription = parts.subscription
            and segments.meter = parts.meter
            and segments.period_start = parts.period_start
            and segments.period_end = parts.period_end
            and segments.measure = parts.measure
            and parts.start_day <= segments.start_day
        inner join
            {{ ref("distinct_values") }} as users
            on segments.customer = users.customer
            and segments.meter = users.meter
            and users.local_day >= parts.start_day
            and users.local_day < parts.end_day
        where segments.measure = 'unique'
        group by
            segments.line_id,
            case when segments.by_dimension = 'each' then users.dimensions else '' end,
            {{ line_value }},
            users.value_key
        union all
        -- A week counts on its Sunday, with all its days on which the subscription was active.
        select distinct
            segments.line_id,
            case when segments.by_dimension = 'each' then users.dimensions else '' end as dimensions,
            {{ line_value }} as value,
            users.value_key,
            case
                segments.active_per
                when 'week'
                then {{ days_after(week_start("users.local_day"), 6) }}
                else users.local_day
            end as local_day
        from segments
        inner join
            {{ ref("distinct_values") }} as users
            on segments.customer = users.customer
            and segments.meter = users.meter
            and users.local_day >= segments.reads_from
            and users.local_day < segments.end_day
        where segments.measure = 'active'
    ),

    counted as (
        select
            segments.line_id,
            segments.take,
            members.value,
            members.local_day,
            cast(count(*) as decimal(38, 9)) as quantity,
            row_number() over (
                partition by segments.line_id, members.value order by count(*) desc, members.local_day
            ) as place
        from segments
        inner join
            members
            on segments.line_id = members.line_id
            and members.local_day >= segments.start_day
            and members.local_day < segments.until_day
        group by segments.line_id, segments.take, members.value, members.local_day
    )

select line_id, value, local_day, quantity
from counted
where coalesce(take, 'sum') <> 'max' or place = 1
