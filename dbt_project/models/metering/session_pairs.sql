-- Grain: customer, meter, start or stop. Which of them `pairs`, and where a session that opens ends: at the first stop
-- after it or when it expires. A start of an open session and a stop of none pair with nothing.
{{ config(materialized="view", schema="staging") }}
with
    begins as (
        select days.customer, customers.zone, min(calendar.start_us) as begin_us
        from {{ source("control", "restated_days") }} as days
        inner join {{ source("control", "customers") }} as customers on days.customer = customers.customer
        inner join
            {{ source("control", "zone_days") }} as calendar
            on customers.zone = calendar.zone
            and days.local_day = calendar.local_day
        group by days.customer, customers.zone
    ),

    -- Sessions that can still matter from there on, each with its whole history.
    wanted as (
        select distinct
            events.customer,
            events.meter,
            events.session,
            coalesce(meters.expires_us, 1152921504606846976) as expires_us
        from {{ ref("session_events") }} as events
        inner join {{ source("control", "carried_meters") }} as meters on events.meter = meters.meter
        inner join
            begins
            on events.customer = begins.customer
            and events.time_us >= begins.begin_us - coalesce(meters.expires_us, 0)
        where meters.aggregation = 'level'
    ),

    -- A run is starts and the stop that follows them.
    runs as (
        select
            events.*,
            wanted.expires_us,
            coalesce(
                sum(case when events.change < 0 then 1 else 0 end) over (
                    partition by events.customer, events.meter, events.session
                    order by events.time_us, events.source, events.event_id
                    rows between unbounded preceding and 1 preceding
                ),
                0
            ) as run
        from {{ ref("session_events") }} as events
        inner join
            wanted
            on events.customer = wanted.customer
            and events.meter = wanted.meter
            and events.session = wanted.session
    ),

    opened as (
        select customer, meter, session, run, {{ openings("time_us", "expires_us") }} as opened
        from runs
        where change > 0
        group by customer, meter, session, run, expires_us
    ),

    instants as (select customer, meter, session, run, {{ each_of("opened") }} as open_us from opened),

    told as (
        select
            runs.*,
            instants.open_us,
            row_number() over (
                partition by runs.customer, runs.meter, runs.session, runs.run, runs.change, runs.time_us
                order by runs.source, runs.event_id
            ) as place,
            max(instants.open_us) over in_run as last_open_us,
            min(case when runs.change < 0 then runs.time_us end) over in_run as stop_us
        from runs
        left join
            instants
            on runs.customer = instants.customer
            and runs.meter = instants.meter
            and runs.session = instants.session
            and runs.run = instants.run
            and runs.time_us = instants.open_us
            and runs.change > 0
        window in_run as (partition by runs.customer, runs.meter, runs.session, runs.run)
    ),

    paired as (
        select
            *,
            case
                when change > 0
                then open_us is not null and place = 1
                else coalesce(stop_us <= last_open_us + expires_us, false)
            end as pairs,
            case
                when open_us = last_open_us and stop_us <= open_us + expires_us then stop_us else open_us + expires_us
            end as end_us
        from told
    )

select customer, meter, dimensions, local_day, bucket_us, time_us, change, pairs, end_us
from paired
