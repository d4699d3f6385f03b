-- Grain: customer, plan, meter, local month (its first day), endpoint, method. From days, which add up exactly.
select
    customer,
    plan,
    meter,
    aggregation,
    {{ month_start("local_day") }} as month_start,
    endpoint,
    method,
    cast(case when aggregation = 'max' then max(quantity) else sum(quantity) end as decimal(38, 9)) as quantity
from {{ ref("usage_daily") }}
group by customer, plan, meter, aggregation, {{ month_start("local_day") }}, endpoint, method
