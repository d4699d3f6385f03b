-- A percentile is one of the values that events measured in its time, at least as many events lie at or below it as its
-- rank asks for, and fewer lie below it. Only months that this build wrote:
-- every grain is made by the same macro.
{{ config(meta={"dagster": {"ref": {"name": "usage_monthly"}}}) }}
with
    counted as (
        select
            months.customer,
            months.meter,
            months.month_start,
            months.dimensions,
            months.period_start,
            months.quantity,
            meters.percentile,
            sum(case when days.value < months.quantity then days.events else 0 end) as below,
            sum(case when days.value = months.quantity then days.events else 0 end) as equal,
            sum(days.events) as n
        from {{ ref("usage_monthly") }} as months
        inner join
            {{ source("control", "restated_months") }} as restated
            on months.customer = restated.customer
            and months.month_start = restated.month_start
        inner join {{ source("control", "meters") }} as meters on months.meter = meters.meter
        left join
            {{ ref("values_daily") }} as days
            on months.customer = days.customer
            and months.meter = days.meter
            and months.dimensions = days.dimensions
            and months.month_start = {{ month_start("days.local_day") }}
        left join
            {{ source("control", "billing_days") }} as billing
            on days.customer = billing.customer
            and days.meter = billing.meter
            and days.local_day >= billing.start_day
            and days.local_day < billing.end_day
        where
            months.aggregation = 'percentile'
            and months.plan is not distinct from billing.plan
            and months.period_start is not distinct from billing.period_start
        group by
            months.customer,
            months.meter,
            months.month_start,
            months.dimensions,
            months.plan,
            months.period_start,
            months.quantity,
            meters.percentile
    )

select customer, meter, month_start, dimensions, quantity, below, equal, n
from counted
where coalesce(equal, 0) = 0 or below * 100 >= percentile * n or (below + equal) * 100 < percentile * n
