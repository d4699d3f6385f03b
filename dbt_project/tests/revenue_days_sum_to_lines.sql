-- The days of a line sum to its amount and to what was issued for it; each line, and each day of it, stands once.
{{ config(meta={"dagster": {"ref": {"name": "revenue_daily"}}}) }}
{% set key = "subscription, charge, period_start, service_start, value" %}
with
    days as (
        select
            {{ key }}, sum(amount) as amount, sum(billed) as billed, count(*) - count(distinct local_day) as days_twice
        from {{ ref("revenue_daily") }}
        group by all
    ),
    lines as (select *, count(*) over (partition by {{ key }}) as copies from {{ ref("rated_usage") }})

select {{ key }}, lines.amount, days.amount as of_days, lines.issued, days.billed
from lines
full outer join days using ({{ key }})
where
    coalesce(lines.amount, 0) <> coalesce(days.amount, 0)
    or (lines.amount is not null and lines.issued <> coalesce(days.billed, 0))
    or days.days_twice > 0
    or lines.copies > 1
