{#
  What each event of a line pays, summed by day and part. In the order of (time, event key) events use up the free
  events, the free amount or what ends first of the two; one that is free in part pays the rate on the rest. `free` is
  money that pays nothing, with the number of the events that are free as a whole; the fee of any other event lies below
  its lower bound (`at_min`), above its upper one (`at_max`), or between (`units`). Events in another currency than the
  document's use up nothing: they are `unmeasured`. One below 0 uses up no money; what is not free of it gives the rate
  back and no fee.
  `lines` are segments, `events` has the columns of event_values, `prices` those of control.line_prices.
#}
{% macro event_parts(lines, events, prices) %}
    with
        taken as (
            select
                lines.line_id,
                lines.free_events,
                lines.free_amount,
                coalesce({{ json_field("events.dimensions", "lines.line_per") }}, '') as value,
                {{ in_currency("events.dimensions") }} as is_measured,
                events.dimensions,
                events.local_day,
                events.time_us,
                events.source,
                events.event_id,
                events.value as amount
            from {{ lines }} as lines
            inner join
                {{ events }} as events
                on lines.customer = events.customer
                and lines.meter = events.meter
                and events.local_day >= lines.start_day
                and events.local_day < lines.end_day
            where lines.measure = 'events'
        ),

        placed as (
            select
                *,
                row_number() over (partition by line_id, value order by time_us, source, event_id) as place,
                coalesce(
                    sum(greatest(amount, 0)) over (
                        partition by line_id, value
                        order by time_us, source, event_id
                        rows between unbounded preceding and 1 preceding
                    ),
                    0
                ) as before
            from taken
            where is_measured
        ),

        freed as (
            select
                *,
                case
                    when coalesce(place > free_events, false) or coalesce(before >= free_amount, false)
                    then cast(0 as decimal(38, 9))
                    when free_amount is not null
                    then cast(least(amount, free_amount - before) as decimal(38, 9))
                    when free_events is not null
                    then amount
                    else cast(0 as decimal(38, 9))
                end as free,
                (free_events is not null or free_amount is not null)
                and coalesce(place <= free_events, true)
                and coalesce(before < free_amount and before + amount <= free_amount, true) as is_free
            from placed
        ),

        charged as (
            select
                freed.*,
                freed.amount - freed.free as excess,
                (freed.amount - freed.free) * prices.rate + coalesce(prices.fixed, 0) as fee,
                prices.min_per_event,
                prices.max_per_event
            from freed
            left join
                {{ prices }} as prices
                on freed.line_id = prices.line_id
                and freed.local_day >= prices.from_day
                and freed.local_day < prices.end_day
        )

    select
        line_id,
        local_day,
        value,
        '' as cell,
        cast(null as bigint) as hour_us,
        case
            when excess < 0
            then 'units'
            when fee < min_per_event
            then 'at_min'
            when fee > max_per_event
            then 'at_max'
            else 'units'
        end as part,
        cast(sum(excess) as decimal(38, 9)) as quantity,
        count(case when excess >= 0 then 1 end) as events
    from charged
    where not is_free
    group by line_id, local_day, value, part
    union all
    select
        line_id,
        local_day,
        value,
        '' as cell,
        cast(null as bigint) as hour_us,
        'free' as part,
        cast(sum(free) as decimal(38, 9)) as quantity,
        count(case when is_free then 1 end) as events
    from charged
    where is_free or free <> 0
    group by line_id, local_day, value
    union all
    select
        line_id,
        local_day,
        '' as value,
        dimensions as cell,
        cast(null as bigint) as hour_us,
        'unmeasured' as part,
        cast(sum(amount) as decimal(38, 9)) as quantity,
        count(*) as events
    from taken
    where not is_measured
    group by line_id, local_day, dimensions
{% endmacro %}

{# Whether amounts are in the document's currency, where the meter says in which they are. #}
{% macro in_currency(dimensions) %}
    (
        lines.currency_field is null
        or coalesce({{ json_field(dimensions, "lines.currency_field") }} = lines.currency, false)
    )
{% endmacro %}

{#
  Usage of lines that is priced by values of dimensions: a value each of `line_per`, a cell each of a matrix. What is in
  another currency than the document's, or in no cell of a matrix without a default, is `unmeasured`, with its
  dimensions as `cell`.
  `lines` are segments; `usage` has line_id, local_day, hour_us, dimensions, quantity, events; `prices`, `cells` and
  `splits` have the columns of control.line_prices, matrix_cells and split_dimensions.
#}
{% macro cell_parts(lines, usage, prices, cells, splits) %}
    with
        told as (
            select
                usage.*,
                lines.split,
                prices.matrix,
                coalesce({{ json_field("usage.dimensions", "lines.line_per") }}, '') as value,
                {{ in_currency("usage.dimensions") }} as is_in_currency
            from {{ usage }} as usage
            inner join {{ lines }} as lines on usage.line_id = lines.line_id
            left join
                {{ prices }} as prices
                on usage.line_id = prices.line_id
                and usage.local_day >= prices.from_day
                and usage.local_day < prices.end_day
        ),

        looked_at as (
            select
                told.split,
                told.dimensions,
                splits.dimension,
                {{ json_field("told.dimensions", "splits.dimension") }} as text
            from (select distinct split, dimensions from told) as told
            inner join {{ splits }} as splits on told.split = splits.split
        ),

        named as (
            select
                split,
                dimensions,
                {{ dbt.listagg("'\"' || dimension || '\":' || " ~ json_text("text"), "','", "order by dimension") }}
                as fields
            from looked_at
            group by split, dimensions
        ),

        placed as (
            select
                told.*,
                told.is_in_currency and (told.matrix is null or cells.cell is not null) as is_measured,
                coalesce('{' || named.fields || '}', '') as cell
            from told
            left join named on told.split = named.split and told.dimensions = named.dimensions
            left join {{ cells }} as cells on told.matrix = cells.matrix and '{' || named.fields || '}' = cells.cell
        )

    select
        line_id,
        local_day,
        value,
        cell,
        hour_us,
        'units' as part,
        cast(sum(quantity) as decimal(38, 9)) as quantity,
        cast(0 as bigint) as events
    from placed
    where is_measured
    group by line_id, local_day, value, cell, hour_us
    union all
    select
        line_id,
        local_day,
        '' as value,
        dimensions as cell,
        cast(null as bigint) as hour_us,
        'unmeasured' as part,
        cast(sum(quantity) as decimal(38, 9)) as quantity,
        cast(sum(events) as bigint) as events
    from placed
    where not is_measured
    group by line_id, local_day, dimensions
{% endmacro %}

{# Usage by line, day (or hour) and dimensions, of meters that a charge prices by cell. #}
{% macro usage_by_cell(lines, hours) %}
    select
        cast(null as varchar) as line_id,
        cast(null as date) as local_day,
        cast(null as bigint) as hour_us,
        cast(null as varchar) as dimensions,
        cast(null as decimal(38, 9)) as quantity,
        cast(null as bigint) as events
    where false
    {% for meter, aggregation in meters_in_parts("by_cell") %}
        union all
        select
            lines.line_id,
            hours.local_day,
            case when lines.by_hour then hours.bucket_us end as hour_us,
            {{ dimensions_json(meter) }} as dimensions,
            cast(sum(hours.m_{{ meter }}) as decimal(38, 9)) as quantity,
            cast(sum(hours.{{ "m" if aggregation == "count" else "n" }}_{{ meter }}) as bigint) as events
        from {{ lines }} as lines
        inner join
            {{ hours }} as hours
            on lines.customer = hours.customer
            and hours.local_day >= lines.start_day
            and hours.local_day < lines.end_day
        where lines.measure = 'cells' and lines.meter = '{{ meter }}' and hours.m_{{ meter }} is not null
        group by
            lines.line_id,
            hours.local_day,
            case when lines.by_hour then hours.bucket_us end {{ dimension_columns(meter) }}
    {% endfor %}
{% endmacro %}
