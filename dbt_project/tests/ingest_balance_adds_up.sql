-- The days of a source add up to the source, the sources of a day to the day, and everything to the total.
{{ config(meta={"dagster": {"ref": {"name": "ingest_balance"}}}) }}
{% set counts = [
    "files", "lines", "accepted", "duplicate", "conflict", "quarantined", "blank", "decided", "retracted", "events"
] %}
with
    parts as (select * from {{ ref("ingest_balance") }} where level = 'source_day'),

    sums as (
        {% for level, source, day in [
            ("source", "source", "cast(null as date)"),
            ("day", "cast(null as varchar)", "taken_day"),
            ("total", "cast(null as varchar)", "cast(null as date)"),
        ] %}
            select
                '{{ level }}' as level,
                {{ source }} as source,
                {{ day }} as taken_day
                {% for count in counts %}, coalesce(sum({{ count }}), 0) as {{ count }} {% endfor %}
            from parts
            {% if level != "total" %} group by {{ source if level == "source" else day }} {% endif %}
            {% if not loop.last %}
                union all
            {% endif %}
        {% endfor %}
    ),

    levels as (select * from {{ ref("ingest_balance") }} where level <> 'source_day')

select
    coalesce(sums.level, levels.level) as level,
    coalesce(sums.source, levels.source) as source,
    coalesce(sums.taken_day, levels.taken_day) as taken_day,
    sums.lines as lines_of_parts,
    levels.lines
from sums
full outer join
    levels
    on sums.level = levels.level
    and coalesce(sums.source, '') = coalesce(levels.source, '')
    and coalesce(sums.taken_day, date '1970-01-01') = coalesce(levels.taken_day, date '1970-01-01')
where false {% for count in counts %} or sums.{{ count }} is distinct from levels.{{ count }} {% endfor %}
