-- The greatest window of a month is reached by the one that it names, and exceeded by none that is known. A month in
-- which every window is below 0 and some are empty has its greatest at 0. Only months that this build wrote.
{{ config(meta={"dagster": {"ref": {"name": "high_watermarks"}}}) }}
with
    months as (
        select
            windows.customer,
            windows.meter,
            {{ month_start("windows.local_day") }} as month_start,
            windows.window_length,
            max(windows.value) as value,
            sum(windows.windows) as windows
        from {{ ref("windows") }} as windows
        inner join
            {{ source("control", "customers") }} as customers
            on windows.customer = customers.customer
            and windows.local_day < customers.known_day
        inner join
            {{ source("control", "restated_months") }} as restated
            on windows.customer = restated.customer
            and {{ month_start("windows.local_day") }} = restated.month_start
        group by windows.customer, windows.meter, {{ month_start("windows.local_day") }}, windows.window_length
    ),

    greatest_windows as (
        select marks.*
        from {{ ref("high_watermarks") }} as marks
        inner join
            {{ source("control", "restated_months") }} as restated
            on marks.customer = restated.customer
            and marks.month_start = restated.month_start
        where marks.percentile is null
    )

select
    coalesce(months.customer, marks.customer) as customer,
    coalesce(months.meter, marks.meter) as meter,
    coalesce(months.month_start, marks.month_start) as month_start,
    months.value as greatest_window,
    marks.value as watermark
from months
full outer join
    greatest_windows as marks
    on months.customer = marks.customer
    and months.meter = marks.meter
    and months.month_start = marks.month_start
    and months.window_length = marks.window_length
where
    (case when months.windows < marks.windows then greatest(months.value, 0) else months.value end)
    is distinct from marks.value
    or months.windows > marks.windows
