-- Grain: line of an issued document, and local day of service. Days sum to the line, and lines to the document,
-- exactly.
{{ config(materialized="view") }}
{% set key = ["subscription", "charge", "period_start", "start", "value"] %}
with
    lines as (
        select
            billed.*,
            coalesce(exact.account, plans.account, 'revenue') as account,
            cast(coalesce(days.daily, rated.daily) as decimal(38, 4)[]) as amounts,
            cast(coalesce(days.reduced, '[]') as decimal(38, 4)[]) as reductions
        from {{ source("record", "billed_lines") }} as billed
        left join {{ source("record", "document_days") }} as days on billed.seq = days.seq and billed.place = days.place
        left join
            {{ source("record", "rated_lines") }} as rated
            on {% for column in key %}
                {{ "and " if not loop.first }}billed."{{ column }}" = rated."{{ column }}"
            {% endfor %}
        left join
            {{ source("record", "accounts") }} as exact
            on billed.plan = exact.plan
            and billed.charge = exact.charge
            and billed."start" >= exact."start"
            and billed."start" < exact."end"
        left join {{ source("record", "accounts") }} as plans on billed.plan = plans.plan and plans.charge = ''
    ),
    days as (select *, unnest(range(greatest(len(amounts), len(reductions)))) as day_number from lines)

select
    number,
    position,
    kind,
    entity,
    customer,
    subscription,
    plan,
    charge,
    value,
    meter,
    account,
    currency,
    issue_date,
    period_start,
    "start" as service_start,
    cast("start" + cast(day_number as integer) as date) as local_day,
    -- What corrects a day of locked books is booked on the first day after the lock, as it stood when it was issued.
    case
        when kind in ('correction', 'adjustment')
        then greatest(cast("start" + cast(day_number as integer) as date), coalesce(locked_through + 1, "start"))
        else cast("start" + cast(day_number as integer) as date)
    end as booked_day,
    cast(coalesce(amounts[day_number + 1], 0) as decimal(38, 4)) as amount,
    cast(coalesce(reductions[day_number + 1], 0) as decimal(38, 4)) as reduced,
    cast(coalesce(amounts[day_number + 1], 0) - coalesce(reductions[day_number + 1], 0) as decimal(38, 4)) as net
from days
where coalesce(amounts[day_number + 1], 0) <> 0 or coalesce(reductions[day_number + 1], 0) <> 0
