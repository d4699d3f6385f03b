-- Grain: customer, meter, local month, window length, percentile (NULL: the greatest window). Of all windows of the
-- month
-- that are known so far, by real hours, the value at `rank` in ascending order; a window of nothing counts as 0.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="restated_months", touched_keys=["customer", "month_start"]
) }}
with
    months as (
        select months.customer, months.month_start, customers.known_day, counts.window_length, counts.windows
        from {{ source("control", "restated_months") }} as months
        inner join {{ source("control", "customers") }} as customers on months.customer = customers.customer
        inner join
            {{ source("control", "window_counts") }} as counts
            on customers.zone = counts.zone
            and months.month_start = counts.month_start
    ),

    counted as (
        select
            windows.customer,
            windows.meter,
            windows.window_length,
            months.month_start,
            months.windows as month_windows,
            windows.value,
            cast(sum(windows.windows) as bigint) as windows,
            min(windows.window_us) as window_us
        from {{ ref("windows") }} as windows
        inner join
            months
            on windows.customer = months.customer
            and windows.window_length = months.window_length
            and {{ month_start("windows.local_day") }} = months.month_start
            and windows.local_day < months.known_day
        group by
            windows.customer, windows.meter, windows.window_length, months.month_start, months.windows, windows.value
    ),

    with_empty as (
        select customer, meter, window_length, month_start, month_windows, value, windows, window_us
        from counted
        union all
        select
            customer,
            meter,
            window_length,
            month_start,
            month_windows,
            cast(0 as decimal(38, 9)) as value,
            month_windows - cast(sum(windows) as bigint) as windows,
            cast(null as bigint) as window_us
        from counted
        group by customer, meter, window_length, month_start, month_windows
        having sum(windows) < month_windows
    ),

    reached as (
        select
            with_empty.*,
            marks.percentile,
            {{ whole_divide("coalesce(marks.percentile, 100) * with_empty.month_windows + 99", "100") }} as rank,
            -- Equal values are peers: they are reached together.
            sum(with_empty.windows) over (
                partition by customer, with_empty.meter, with_empty.window_length, month_start, percentile
                order by value
            ) as upto
        from with_empty
        inner join
            {{ source("control", "marks") }} as marks
            on with_empty.meter = marks.meter
            and with_empty.window_length = marks.window_length
    ),

    ranked as (
        select
            *,
            row_number() over (
                partition by customer, meter, window_length, month_start, percentile
                order by value, case when window_us is null then 1 else 0 end, window_us
            ) as place
        from reached
        where upto >= rank
    )

select
    customer,
    meter,
    month_start,
    window_length,
    percentile,
    month_windows as windows,
    cast(rank as bigint) as rank,
    value,
    {{ instant_of_us("window_us") }} as window_start
from ranked
where place = 1
