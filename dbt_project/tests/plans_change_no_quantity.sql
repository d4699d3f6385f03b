-- Naming the plan of a day neither loses nor doubles usage: one row of `usage_daily` for each of `usage_by_day`.
{{ config(meta={"dagster": {"ref": {"name": "usage_daily"}}}) }}
select
    coalesce(before.customer, named.customer) as customer,
    coalesce(before.meter, named.meter) as meter,
    before.quantity as quantity_before,
    named.quantity as quantity_named
from
    (
        select customer, meter, count(*) as places, sum(quantity) as quantity
        from {{ ref("usage_by_day") }}
        group by customer, meter
    ) as before
full outer join
    (
        select customer, meter, count(*) as places, sum(quantity) as quantity
        from {{ ref("usage_daily") }}
        group by customer, meter
    ) as named
    on before.customer = named.customer
    and before.meter = named.meter
where before.quantity is distinct from named.quantity or before.places is distinct from named.places
