{#
  Incremental means: what new input touched is erased and written again, whole. `touched_by` names the table that
  holds the touched keys (see `touched_relation`), `touched_keys` its columns. Deleting by the touched keys, and not by the keys of the new
  rows, also removes rows that have no successor.
#}
{% macro get_incremental_erase_touched_sql(arg_dict) %}
    {%- set target = arg_dict["target_relation"] -%}
    {%- set columns = get_quoted_csv(arg_dict["dest_columns"]) -%}
    {%- set keys = config.require("touched_keys") -%}
    delete from {{ target }}
    where
        exists (
            select 1
            from {{ touched_relation() }} as touched
            where
                {% for key in keys %}
                    {{ "and " if not loop.first }}touched.{{ key }} = {{ target }}.{{ key }}
                {% endfor %}
        )
    ;
  insert into {{ target }} ({{ columns }}) select {{ columns }} from {{ arg_dict["temp_relation"] }};
{% endmacro %}

{% macro touched_relation() %}
    {#- Spelled out, as dbt reads a model's sources from its text. -#}
    {%- set by = config.require("touched_by") -%}
    {%- if by == "days" -%} {{ source("control", "touched_days") }}
    {%- elif by == "restated_days" -%} {{ source("control", "restated_days") }}
    {%- elif by == "restated_weeks" -%} {{ source("control", "restated_weeks") }}
    {%- elif by == "restated_months" -%} {{ source("control", "restated_months") }}
    {%- elif by == "utc_days" -%}
        (
            {% for days in [-1, 0, 1] %}
                {{ "union" if not loop.first }}
                select {{ days_after("local_day", days) }} as utc_day
                from {{ source("control", "touched_days") }}
            {% endfor %}
        )
    {%- elif by == "lines" -%} {{ source("control", "touched_lines") }}
    {%- else -%} {{ source("control", "new_files") }}
    {%- endif -%}
{% endmacro %}

{#
  The rows of a model on touched days. A build from nothing touches every day: it is spared the join, for which the
  engine would put all events into memory, as it can't tell how many they are.
#}
{% macro touched(model) %}
    {%- set rows, days = ref(model), source("control", "touched_days") -%}
    {%- if flags.FULL_REFRESH -%} (select * from {{ rows }} where customer is not null)
    {%- else -%}
        (
            select touchable.*
            from {{ rows }} as touchable
            inner join
                {{ days }} as touched
                on touchable.customer = touched.customer
                and touchable.local_day = touched.local_day
        )
    {%- endif -%}
{% endmacro %}

{#
  The rows of a model that this build wrote, and those of which one of `others` holds. With `bounded`, what is touched
  lies between literals.
#}
{% macro written(model, touched, others, bounded=false) %}
    {%- set by, at = {
        "days": [source("control", "restated_days"), "local_day"],
        "weeks": [source("control", "restated_weeks"), "week_start"],
        "months": [source("control", "restated_months"), "month_start"],
    }[touched] -%}
    (
        select written.*
        from {{ model }} as written
        where
            (
                exists (
                    select 1
                    from {{ by }} as touched
                    where touched.customer = written.customer and touched.{{ at }} = written.{{ at }}
                )
                {% for other in others %} or {{ other }} {% endfor %}
            )
            {% if bounded and execute %}
                {%- set span = run_query("select min(" ~ at ~ "), max(" ~ at ~ ") from " ~ by).rows[0] %}
                and written.{{ at }} >= {{ "date '" ~ span[0] ~ "'" if span[0] else "cast(null as date)" }}
                and written.{{ at }} <= {{ "date '" ~ span[1] ~ "'" if span[1] else "cast(null as date)" }}
            {% endif %}
    )
{% endmacro %}
