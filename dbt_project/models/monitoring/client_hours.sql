-- Grain: customer, local hour, what, value. Requests by the family of the program that made them (`client`), by
-- country, or network where no country is known (`origin`), and by the source that delivered them (`feed`).
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail", schema="metering",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
{% for what in ["client", "origin", "feed"] %}
    {{ "union all" if not loop.first }}
    select customer, local_day, bucket_us, '{{ what }}' as what, {{ what }} as value, count(*) as requests
    from {{ ref("stg_watched") }}
    where {{ what }} is not null
    group by customer, local_day, bucket_us, {{ what }}
{% endfor %}
