-- Grain: customer, meter, dimensions, local hour: every hour from the first event of a series to the end of what is
-- known.
-- `set_us`: the instant that set the greatest state (min: the least; latest and sum: of the last event before the end).
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="restated_days", touched_keys=["customer", "local_day"]
) }}
with
    hours as (select * from {{ ref("restated_hours") }}),

    changes as (
        select changes.*, hours.block_us
        from {{ ref("state_changes") }} as changes
        inner join hours on changes.customer = hours.customer and changes.bucket_us = hours.bucket_us
    ),

    -- In a block a series begins with its first event, or with the state that the hour before the block left.
    begun as (
        select customer, meter, dimensions, block_us, bucket_us as from_us, null as opening, null as opening_set_us
        from changes
        {% if is_incremental() %}
            union all
            select past.customer, past.meter, past.dimensions, hours.block_us, past.end_us, past.closing, past.set_us
            from {{ this }} as past
            inner join hours on past.customer = hours.customer and past.end_us = hours.block_us
            where hours.bucket_us = hours.block_us
        {% endif %}
    ),

    series as (
        select
            customer,
            meter,
            dimensions,
            block_us,
            min(from_us) as from_us,
            max(opening) as opening,
            max(opening_set_us) as opening_set_us
        from begun
        group by customer, meter, dimensions, block_us
    ),

    instants as (
        select customer, meter, dimensions, bucket_us, time_us, change, last, low, high
        from changes
        union all
        select
            series.customer, series.meter, series.dimensions, hours.bucket_us, hours.bucket_us, null, null, null, null
        from series
        inner join hours on series.customer = hours.customer and series.block_us = hours.block_us
        where hours.bucket_us >= series.from_us
    ),

    points as (
        select
            customer,
            meter,
            dimensions,
            bucket_us,
            time_us,
            max(change) as change,
            max(last) as last,
            max(low) as low,
            max(high) as high
        from instants
        group by customer, meter, dimensions, bucket_us, time_us
    ),

    placed as (
        select points.*, hours.local_day, hours.block_us, hours.block_end_us, series.opening, series.opening_set_us
        from points
        inner join hours on points.customer = hours.customer and points.bucket_us = hours.bucket_us
        inner join
            series
            on points.customer = series.customer
            and points.meter = series.meter
            and points.dimensions = series.dimensions
            and hours.block_us = series.block_us
    ),

    states as ({{ states_of("placed", "customer, meter, dimensions, block_us", "block_end_us") }}),

    reached as (
        select
            states.*,
            meters.aggregation,
            coalesce(lag(states.state) over in_order, states.opening) as before,
            greatest(states.state, coalesce(states.high, states.state)) as top,
            least(states.state, coalesce(states.low, states.state)) as bottom
        from states
        inner join {{ source("control", "carried_meters") }} as meters on states.meter = meters.meter
        window in_order as (partition by customer, states.meter, dimensions, block_us order by time_us)
    )

    {{ hours_of("reached") }}
