-- Grain: customer, meter, dimensions, local day. Events that a meter takes but cannot measure, by its dimensions.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
with hours as (select hours.* from {{ touched("metered_hours") }} as hours)

select customer, meter, aggregation, dimensions, local_day, count(*) as events
from {{ ref("stg_values") }}
where value is null and value_key is null
group by customer, meter, aggregation, dimensions, local_day
{% for meter in meters(wide_aggregations()) %}
    union all
    select
        customer,
        '{{ meter[0] }}' as meter,
        '{{ meter[1] }}' as aggregation,
        {{ dimensions_json(meter[0]) }} as dimensions,
        local_day,
        cast(sum(u_{{ meter[0] }}) as bigint) as events
    from hours
    where u_{{ meter[0] }} is not null
    group by customer, local_day {{ dimension_columns(meter[0]) }}
{% endfor %}
