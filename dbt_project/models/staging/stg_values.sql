-- Grain: event and meter, of touched days, for meters that are no columns of the wide base fact: the distinct value
-- (`value_key`) or the value of which percentiles are made; without either the meter could not measure the event. Not
-- grouped: most values are different, and what reads them groups them anyway. Exists only while a build runs.
{{ config(materialized="table") }}
{% set ranked = meters(["unique_count", "percentile"]) %}
{% set others = meters(["latest"]) %}
{% set lasting = meters(["sum", "min", "max", "latest", "unique_count", "weighted_sum", "level"], carried=true) %}
with
    events as (
        select
            events.customer,
            events.local_day,
            events.bucket_us,
            events.time_us
            {{ columns_of_dimensions(ranked | list + others | list) }}
            {% for meter in ranked %}, m_{{ meter[0] }}, u_{{ meter[0] }} {% endfor %}
            {% for meter in others %}, u_{{ meter[0] }} {% endfor %}
            {% for meter in lasting %}, u_{{ meter[0] }}, k_{{ meter[0] }} {% endfor %}
        from {{ touched("stg_events") }} as events
        where
            false
            {% for meter in ranked %} or m_{{ meter[0] }} is not null {% endfor %}
            {% for meter in ranked | list + others | list + lasting | list %}
                or u_{{ meter[0] }} is not null
            {% endfor %}
    )

select
    cast(null as varchar) as customer,
    cast(null as varchar) as meter,
    cast(null as varchar) as aggregation,
    cast(null as varchar) as dimensions,
    cast(null as date) as local_day,
    cast(null as bigint) as bucket_us,
    cast(null as varchar) as value_key,
    cast(null as decimal(38, 9)) as value,
    cast(null as bigint) as time_us
where false
{% for meter in ranked %}
    union all
    select
        customer,
        '{{ meter[0] }}' as meter,
        '{{ meter[1] }}' as aggregation,
        {{ dimensions_json(meter[0]) }} as dimensions,
        local_day,
        bucket_us,
        {{ "m_" ~ meter[0] if meter[1] == "unique_count" else "cast(null as varchar)" }} as value_key,
        {{ "m_" ~ meter[0] if meter[1] == "percentile" else "cast(null as decimal(38, 9))" }} as value,
        time_us
    from events
    where m_{{ meter[0] }} is not null or u_{{ meter[0] }} is not null
{% endfor %}
{% for meter in others | list + lasting | list %}
        {% set dimensions = "k_" ~ meter[0] if meter in lasting else dimensions_json(meter[0]) %}
    union all
    select
        customer,
        '{{ meter[0] }}' as meter,
        '{{ meter[1] }}' as aggregation,
        {{ dimensions }} as dimensions,
        local_day,
        bucket_us,
        cast(null as varchar) as value_key,
        cast(null as decimal(38, 9)) as value,
        time_us
    from events
    where u_{{ meter[0] }} is not null
{% endfor %}
