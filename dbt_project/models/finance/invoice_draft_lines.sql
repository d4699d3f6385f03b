-- Grain: one line of a draft. `kind` says what made it: a fee, usage, a correction of what was issued.
select
    entity,
    customer,
    cast(cut_off as date) as cut_off,
    corrects,
    kind,
    subscription,
    plan,
    charge,
    meter,
    currency,
    description,
    cast(period_start as date) as period_start,
    cast(period_end as date) as period_end,
    cast(segment_start as date) as service_start,
    cast(segment_end as date) as service_end,
    cast(quantity as decimal(38, 9)) as quantity,
    unit,
    cast(amount as decimal(38, 4)) as amount,
    formula
from {{ source("record", "draft_lines") }}
