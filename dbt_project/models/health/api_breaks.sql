-- Grain: endpoint, measure, since. A level that shifted on a day and stayed: the middle of the seven known days from
-- it lies beyond the inner fences of the four weeks before it, and so does its own value, but not that of the day
-- before. Known from the third day on.
with
    days as (
        select endpoint, measure, local_day, value, {{ days_between("date '1970-01-01'", "local_day") }} as day_number
        from {{ ref("api_consistency") }}
    ),
    levels as (
        select
            *,
            lag(value) over days as day_before,
            count(*) over past as known_days,
            {{ value_at_share("value", 0.25) }} over past as low,
            {{ value_at_share("value", 0.75) }} over past as high,
            {{ value_at_share("value", 0.5) }} over (days rows between 7 preceding and 1 preceding) as before,
            {{ value_at_share("value", 0.5) }} over (days rows between current row and 6 following) as after,
            count(*) over (days rows between current row and 6 following) as days_after
        from days
        window
            days as (partition by endpoint, measure order by day_number),
            past as (partition by endpoint, measure order by day_number range between 28 preceding and 1 preceding)
    ),
    fenced as (
        select
            *,
            high + 1.5 * (high - low) as upper,
            low - 1.5 * (high - low) as lower,
            case when measure like '%share%' then 5 else before * 0.25 end as least
        from levels
        where known_days >= 7 and days_after >= 3
    ),
    shifts as (
        select *
        from fenced
        where
            (after > upper and value > upper and day_before <= upper and least(after, value) - before > least)
            or (after < lower and value < lower and day_before >= lower and before - greatest(after, value) > least)
    ),
    spaced as (
        select *, lag(day_number) over (partition by endpoint, measure order by day_number) as shift_before from shifts
    )

select
    endpoint,
    measure,
    local_day as since,
    cast(before as decimal(38, 6)) as before,
    cast(after as decimal(38, 6)) as after,
    cast(lower as decimal(38, 6)) as lower_limit,
    cast(upper as decimal(38, 6)) as upper_limit,
    days_after
from spaced
-- A single quiet day within a shift begins no other one.
where shift_before is null or day_number - shift_before > 7
