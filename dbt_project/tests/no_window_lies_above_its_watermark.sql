-- A high watermark is reached by the window that it names, and exceeded by none of the month.
{{ config(meta={"dagster": {"ref": {"name": "high_watermarks"}}}) }}
with
    months as (
        select customer, meter, {{ month_start("local_day") }} as month_start, window_length, max(value) as value
        from {{ ref("windows") }}
        group by customer, meter, {{ month_start("local_day") }}, window_length
    )

select
    coalesce(months.customer, marks.customer) as customer,
    coalesce(months.meter, marks.meter) as meter,
    coalesce(months.month_start, marks.month_start) as month_start,
    months.value as greatest_window,
    marks.value as watermark
from months
full outer join
    {{ ref("high_watermarks") }} as marks
    on months.customer = marks.customer
    and months.meter = marks.meter
    and months.month_start = marks.month_start
    and months.window_length = marks.window_length
where months.value is distinct from marks.value
