-- Grain: one line of a draft. `kind` says what made it: a fee, usage, a correction of what was issued.
select
    entity,
    customer,
    cut_off,
    corrects,
    kind,
    subscription,
    plan,
    charge,
    value,
    meter,
    currency,
    description,
    period_start,
    period_end,
    segment_start as service_start,
    segment_end as service_end,
    quantity,
    unit,
    amount,
    expected,
    formula
from {{ source("record", "draft_lines") }}
