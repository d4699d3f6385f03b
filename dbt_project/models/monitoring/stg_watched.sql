-- Grain: request, of touched days, with all that the series count of it. Read from the events once.
-- Exists only while a build runs.
{{ config(schema="staging") }}
{% set of_request = watching() %}
with
    requests as (
        select
            customer,
            local_day,
            bucket_us,
            bucket_us + {{ whole_divide("time_us - bucket_us", 300000000) }} * 300000000 as window_us,
            time_us,
            feed,
            credential,
            endpoint,
            user_key,
            address_key,
            split_part(agent, '/', 1) as client,
            {{ of_request.origin }} as origin,
            {{ of_request.item }} as item,
            status,
            coalesce(bytes, 0) as bytes,
            {{ three_digits("latency_us") }} as latency_us
        from {{ touched("stg_requests") }} as events
        where path is not null or method is not null or status is not null
    )

select
    requests.*,
    -- Within a minute after a refusal or a failure of the same credential and endpoint, on the same local day.
    coalesce(
        max(case when status = 429 or status between 500 and 599 then 1 else 0 end) over (
            partition by customer, local_day, credential, endpoint
            order by time_us
            range between 60000000 preceding and 1 preceding
        ),
        0
    ) as retry
from requests
