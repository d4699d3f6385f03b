-- Grain: seller, revenue account, currency, cut-off. What was earned and billed before each day, and what stands
-- between.
{{ config(materialized="view") }}
{% set key = "entity, account, currency" %}
with
    parts as (
        select {{ key }}, booked_day as service_day, issue_date, net as amount
        from {{ ref("billed_daily") }}
        union all
        select {{ key }}, booked_day, cast(null as date), unbilled
        from {{ ref("unbilled_daily") }}
    ),
    moves as (
        select
            {{ key }},
            service_day + 1 as cut_off,
            amount as earned,
            cast(0 as decimal(38, 4)) as billed,
            case when issue_date <= service_day then 0 else amount end as accrued,
            case when issue_date <= service_day then - amount else 0 end as deferred
        from parts
        union all
        select
            {{ key }},
            issue_date + 1,
            0,
            amount,
            case when issue_date <= service_day then 0 else - amount end,
            case when issue_date <= service_day then amount else 0 end
        from parts
        where issue_date is not null
    ),
    moved as (
        select
            {{ key }},
            cut_off,
            sum(earned) as earned,
            sum(billed) as billed,
            sum(accrued) as accrued,
            sum(deferred) as deferred
        from moves
        group by all
    ),
    spans as (
        select min(moved.cut_off) as first, greatest(max(moved.cut_off), max(books.today) + 1) as last
        from moved
        cross join {{ source("record", "books") }} as books
    ),
    days as (
        select
            accounts.*,
            cast(spans.first + cast(unnest(range(spans.last - spans.first + 1)) as integer) as date) as cut_off
        from (select distinct {{ key }} from moved) as accounts
        cross join spans
    )

select
    {{ key }},
    cut_off,
    {% for sum in ["earned", "billed", "accrued", "deferred"] %}
        cast(
            sum(coalesce(moved.{{ sum }}, 0)) over (
                partition by {{ key }} order by cut_off rows unbounded preceding
            ) as decimal(38, 4)
        ) as {{ sum }}
        {{- "," if not loop.last }}
    {% endfor %}
from days
left join moved using ({{ key }}, cut_off)
