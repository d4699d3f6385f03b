-- Grain: customer, meter, local month, window length. The greatest window of the month, and the window that set it
-- (the earliest of equals).
with
    ranked as (
        select
            customer,
            meter,
            {{ month_start("local_day") }} as month_start,
            window_length,
            value,
            window_us,
            row_number() over (
                partition by customer, meter, {{ month_start("local_day") }}, window_length
                order by value desc, window_us asc
            ) as place
        from {{ ref("windows") }}
    )

select customer, meter, month_start, window_length, value, {{ instant_of_us("window_us") }} as window_start
from ranked
where place = 1
