-- Grain: line and local day of service on which something is yet to be billed, or to be given back, as known now.
{{ config(materialized="view") }}
select
    sellers.entity,
    days.customer,
    days.subscription,
    days.plan,
    days.charge,
    days.value,
    days.meter,
    coalesce(exact.account, plans.account, 'revenue') as account,
    days.currency,
    days.period_start,
    days.service_start,
    days.local_day,
    -- A difference to what was issued for days of locked books will be booked on the first day after the lock.
    case
        when issued.subscription is not null
        then greatest(days.local_day, coalesce(books.locked_through + 1, days.local_day))
        else days.local_day
    end as booked_day,
    days.unbilled
from {{ ref("revenue_daily") }} as days
cross join {{ source("record", "books") }} as books
left join
    {{ source("record", "issued_totals") }} as issued
    on days.subscription = issued.subscription
    and days.charge = issued.charge
    and days.period_start = issued.period_start
    and days.service_start = issued."start"
    and days.value = issued.value
left join
    {{ source("record", "sellers") }} as sellers
    on days.customer = sellers.customer
    and days.period_start >= sellers."start"
    and days.period_start < sellers."end"
left join
    {{ source("record", "accounts") }} as exact
    on coalesce(days.plan, json_extract_string(issued.line, '$.plan')) = exact.plan
    and days.charge = exact.charge
    and days.service_start >= exact."start"
    and days.service_start < exact."end"
left join
    {{ source("record", "accounts") }} as plans
    on coalesce(days.plan, json_extract_string(issued.line, '$.plan')) = plans.plan
    and plans.charge = ''
where days.unbilled <> 0
