-- Grain: customer, meter, dimensions, instant. Sessions that open (+1) and end (-1), under the dimensions of the start.
-- `unpaired` counts starts of an open session and stops of none. Written for all restated days, as a pair spans days.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="restated_days", touched_keys=["customer", "local_day"]
) }}
with
    told as (select * from {{ ref("session_pairs") }}),

    moves as (
        select
            customer,
            meter,
            dimensions,
            local_day,
            bucket_us,
            time_us,
            case when pairs then change end as change,
            case when pairs then 0 else 1 end as unpaired
        from told
        where change > 0 or not pairs
        union all
        select
            told.customer,
            told.meter,
            told.dimensions,
            hours.local_day,
            hours.bucket_us,
            told.end_us as time_us,
            cast(-1 as decimal(38, 9)) as change,
            0 as unpaired
        from told
        inner join {{ source("control", "customers") }} as customers on told.customer = customers.customer
        inner join
            {{ source("control", "zone_hours") }} as hours
            on customers.zone = hours.zone
            and told.end_us >= hours.bucket_us
            and told.end_us < hours.end_us
        where told.change > 0 and told.pairs
    )

select
    moves.customer,
    moves.meter,
    moves.dimensions,
    moves.local_day,
    moves.bucket_us,
    moves.time_us,
    cast(sum(moves.change) as decimal(38, 9)) as change,
    cast(sum(moves.unpaired) as bigint) as unpaired
from moves
inner join
    {{ source("control", "restated_days") }} as restated
    on moves.customer = restated.customer
    and moves.local_day = restated.local_day
group by moves.customer, moves.meter, moves.dimensions, moves.local_day, moves.bucket_us, moves.time_us
