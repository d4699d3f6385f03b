-- Naming the plan of a day that this build wrote neither loses nor doubles usage: one row of `usage_daily` for each of
-- `usage_by_day`.
{{ config(meta={"dagster": {"ref": {"name": "usage_daily"}}}) }}
select
    coalesce(before.customer, named.customer) as customer,
    coalesce(before.meter, named.meter) as meter,
    before.quantity as quantity_before,
    named.quantity as quantity_named
from
    (
        select usage.customer, usage.meter, count(*) as places, sum(usage.quantity) as quantity
        from {{ ref("usage_by_day") }} as usage
        inner join
            {{ source("control", "restated_days") }} as restated
            on usage.customer = restated.customer
            and usage.local_day = restated.local_day
        group by usage.customer, usage.meter
    ) as before
full outer join
    (
        select usage.customer, usage.meter, count(*) as places, sum(usage.quantity) as quantity
        from {{ ref("usage_daily") }} as usage
        inner join
            {{ source("control", "restated_days") }} as restated
            on usage.customer = restated.customer
            and usage.local_day = restated.local_day
        group by usage.customer, usage.meter
    ) as named
    on before.customer = named.customer
    and before.meter = named.meter
where before.quantity is distinct from named.quantity or before.places is distinct from named.places
