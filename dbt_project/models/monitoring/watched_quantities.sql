-- Grain: customer, scope, credential, endpoint, grain, moment, as in `watched_series`. Quantities of the meters that
-- add
-- up (`m_<meter>`), of all events: of a customer, of each of its credentials and of each endpoint.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="sync_all_columns",
    schema="metering", touched_by="days", touched_keys=["customer", "local_day"]
) }}
{% set grains = {"5m": "window_us", "hour": "bucket_us", "day": "midnight_us"} %}
{% set columns = summed_columns() %}
with
    events as (
        select
            customer,
            local_day,
            bucket_us,
            bucket_us + {{ whole_divide("time_us - bucket_us", 300000000) }} * 300000000 as window_us,
            {{ days_between("date '1970-01-01'", "local_day") }} * 86400000000 as midnight_us,
            credential,
            endpoint
            {% for column in columns %}, {{ column }} {% endfor %}
        from {{ touched("stg_requests") }} as events
        {% if columns %} where coalesce({{ columns | join(", ") }}) is not null
        {% else %} where false
        {% endif %}
    )

{% for scope in ["customer", "credential", "endpoint"] %}
        {% set key = ", " ~ scope if scope != "customer" else "" %}
        {{ "union all" if not loop.first }}
    select
        customer,
        local_day,
        '{{ scope }}' as scope,
        {{ "credential" if scope == "credential" else "cast(null as varchar) as credential" }},
        {{ "endpoint" if scope == "endpoint" else "cast(null as varchar) as endpoint" }},
        case
            {% for grain, moment in grains.items() %} when grouping({{ moment }}) = 0 then '{{ grain }}' {% endfor %}
        end as grain,
        coalesce({{ grains.values() | join(", ") }}) as moment_us
        {% for column in columns %}, cast(sum({{ column }}) as decimal(38, 9)) as {{ column }} {% endfor %}
    from events
    group by
        grouping sets (
            {% for moment in grains.values() %}
                (customer, local_day, {{ moment }} {{ key }}) {{ "," if not loop.last }}
            {% endfor %}
        )
{% endfor %}
