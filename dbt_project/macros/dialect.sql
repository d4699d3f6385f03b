{# Everything that engines spell differently, in one file. #}
{% macro whole_divide(numerator, denominator) %}
    {{ return(adapter.dispatch("whole_divide", "tallystick")(numerator, denominator)) }}
{% endmacro %}
{% macro default__whole_divide(numerator, denominator) %} (({{ numerator }}) div({{ denominator }})) {% endmacro %}
{# `divide` is DuckDB's operator of two slashes, which tools that format SQL take for a comment. #}
{% macro duckdb__whole_divide(numerator, denominator) %} divide({{ numerator }}, {{ denominator }}) {% endmacro %}

{% macro day_of_epoch(days) %} {{ return(adapter.dispatch("day_of_epoch", "tallystick")(days)) }} {% endmacro %}
{% macro default__day_of_epoch(days) %} date_add(date '1970-01-01', cast({{ days }} as int)) {% endmacro %}
{% macro duckdb__day_of_epoch(days) %}(date '1970-01-01' + cast({{ days }} as integer)) {% endmacro %}

{% macro days_after(day, days) %} {{ return(adapter.dispatch("days_after", "tallystick")(day, days)) }} {% endmacro %}
{% macro default__days_after(day, days) %} date_add({{ day }}, {{ days }}) {% endmacro %}
{% macro duckdb__days_after(day, days) %}({{ day }} + cast({{ days }} as integer)) {% endmacro %}

{# Whole days from one DATE to another. #}
{% macro days_between(first, last) %}
    {{ return(adapter.dispatch("days_between", "tallystick")(first, last)) }}
{% endmacro %}
{% macro default__days_between(first, last) %} datediff({{ last }}, {{ first }}) {% endmacro %}
{% macro duckdb__days_between(first, last) %} date_diff('day', {{ first }}, {{ last }}) {% endmacro %}

{% macro instant_of_us(us) %} {{ return(adapter.dispatch("instant_of_us", "tallystick")(us)) }} {% endmacro %}
{% macro default__instant_of_us(us) %} timestamp_micros({{ us }}) {% endmacro %}
{% macro duckdb__instant_of_us(us) %} make_timestamp({{ us }}) {% endmacro %}

{# Monday of the ISO week, and first day of the month, of a DATE. No time zone is involved. #}
{% macro week_start(day) %} cast({{ dbt.date_trunc("week", day) }} as date) {% endmacro %}
{% macro month_start(day) %} cast({{ dbt.date_trunc("month", day) }} as date) {% endmacro %}

{# The `n` smallest hashes of a column's values: what distinct values are counted from, up to `n` of them. #}
{% macro smallest_hashes(column, n) %}
    {{ return(adapter.dispatch("smallest_hashes", "tallystick")(column, n)) }}
{% endmacro %}
{% macro default__smallest_hashes(column, n) %} {{ smallest("array(xxhash64(" ~ column ~ "))", n) }} {% endmacro %}
{% macro duckdb__smallest_hashes(column, n) %}
    coalesce(min(hash({{ column }}), {{ n }}) filter (where {{ column }} is not null), [])
{% endmacro %}

{# Of lists of numbers, one a row: the `n` smallest distinct ones, in order. Null when there is no row. #}
{% macro smallest(lists, n) %} {{ return(adapter.dispatch("smallest", "tallystick")(lists, n)) }} {% endmacro %}
{% macro default__smallest(lists, n) %}
    slice(array_sort(array_distinct(flatten(collect_list({{ lists }})))), 1, {{ n }})
{% endmacro %}
{% macro duckdb__smallest(lists, n) %} list_sort(list_distinct(flatten(list({{ lists }}))))[1:{{ n }}] {% endmacro %}

{#
  A text as JSON, the same bytes on every engine: their own functions write control characters in different cases.
  What engines leave as it is (anything but the quote, the backslash and control characters) stays.
#}
{% macro json_text(column) %}
    {%- set named = {8: "b", 9: "t", 10: "n", 12: "f", 13: "r"} -%}
    {%- set escaped = {"text": "replace(" ~ column ~ ", chr(92), chr(92) || chr(92))", "special": "'\"' || chr(92)"} -%}
    {%- do escaped.update(text="replace(" ~ escaped.text ~ ", '\"', chr(92) || '\"')") -%}
    {%- for code in range(32) -%}
        {%- set name = named.get(code, "u%04x" % code) -%}
        {%- do escaped.update(
            text="replace(" ~ escaped.text ~ ", chr(" ~ code ~ "), chr(92) || '" ~ name ~ "')",
            special=escaped.special ~ " || chr(" ~ code ~ ")",
        ) -%}
    {%- endfor -%}
    case
        when {{ column }} is null
        then 'null'
        when translate({{ column }}, {{ escaped.special }}, '') = {{ column }}
        then '"' || {{ column }} || '"'
        else '"' || {{ escaped.text }} || '"'
    end
{% endmacro %}

{# The value of a field of a JSON object, as text; NULL for a JSON null, for no such field and for no name. #}
{% macro json_field(json, name) %} {{ return(adapter.dispatch("json_field", "tallystick")(json, name)) }} {% endmacro %}
{% macro default__json_field(json, name) %} get_json_object({{ json }}, concat('$.', {{ name }})) {% endmacro %}
{% macro duckdb__json_field(json, name) %} json_extract_string({{ json }}, '$.' || {{ name }}) {% endmacro %}

{# Two columns as one value that is ordered by the first, then the second. #}
{% macro ordered_pair(first, second) %}
    {{ return(adapter.dispatch("ordered_pair", "tallystick")(first, second)) }}
{% endmacro %}
{% macro default__ordered_pair(first, second) %} struct({{ first }}, {{ second }}) {% endmacro %}
{% macro duckdb__ordered_pair(first, second) %} row({{ first }}, {{ second }}) {% endmacro %}

{# The last value of a column over a window that is not null. The window follows. #}
{% macro last_known(column) %} {{ return(adapter.dispatch("last_known", "tallystick")(column)) }} {% endmacro %}
{% macro default__last_known(column) %} last_value({{ column }}) ignore nulls {% endmacro %}
{% macro duckdb__last_known(column) %} last_value({{ column }} ignore nulls) {% endmacro %}

{# Of a group's rows: the times at which a session opens, ascending. One that is open takes no other start until `expires_us` have passed. #}
{% macro openings(time_us, expires_us) %}
    {{ return(adapter.dispatch("openings", "tallystick")(time_us, expires_us)) }}
{% endmacro %}
{% macro default__openings(time_us, expires_us) %}
    aggregate(
        array_sort(collect_list({{ time_us }})),
        cast(array() as array<bigint>),
        (opened, t) -> case
            when size(opened) = 0 or t >= element_at(opened, -1) + {{ expires_us }}
            then array_append(opened, t)
            else opened
        end
    )
{% endmacro %}
{% macro duckdb__openings(time_us, expires_us) %}
    list_reduce(
        list({{ time_us }} order by {{ time_us }}),
        lambda opened,
        t:
        case when len(opened) = 0 or t >= opened[-1] + {{ expires_us }} then list_append(opened, t) else opened end,
        cast([] as bigint[])
    )
{% endmacro %}

{# One row for each element of a list. #}
{% macro each_of(list) %} {{ return(adapter.dispatch("each_of", "tallystick")(list)) }} {% endmacro %}
{% macro default__each_of(list) %} explode({{ list }}) {% endmacro %}
{% macro duckdb__each_of(list) %} unnest({{ list }}) {% endmacro %}

{#
  The value at rank ceil(p * n / 100) of the n values of a group, in ascending order. A decimal quantile is computed in
  whole numbers; a float one is not, and would miss the rank where p * n / 100 is whole.
#}
{% macro value_at_percentile(column, percentile) %}
    {{ return(adapter.dispatch("value_at_percentile", "tallystick")(column, percentile)) }}
{% endmacro %}
{% macro default__value_at_percentile(column, percentile) %}
    element_at(
        array_sort(collect_list({{ column }})), cast((count({{ column }}) * {{ percentile }} + 99) div 100 as int)
    )
{% endmacro %}
{% macro duckdb__value_at_percentile(column, percentile) %}
    quantile_disc({{ column }}, cast('{{ percentile / 100 }}' as decimal(3, 2)))
{% endmacro %}

{# The value at a share (0.25, 0.5, ...) of the values of a window, in ascending order. The window follows. #}
{% macro value_at_share(column, share) %}
    {{ return(adapter.dispatch("value_at_share", "tallystick")(column, share)) }}
{% endmacro %}
{% macro default__value_at_share(column, share) %} percentile_disc({{ column }}, {{ share }}) {% endmacro %}
{% macro duckdb__value_at_share(column, share) %} quantile_disc({{ column }}, {{ share }}) {% endmacro %}

{# Several such values, ascending, as a list: one pass over the group's values. #}
{% macro values_at_percentiles(column, percentiles) %}
    {{ return(adapter.dispatch("values_at_percentiles", "tallystick")(column, percentiles)) }}
{% endmacro %}
{% macro default__values_at_percentiles(column, percentiles) %}
    array(
        {% for p in percentiles %}{{ default__value_at_percentile(column, p) }} {{ ", " if not loop.last }} {% endfor %}
    )
{% endmacro %}
{% macro duckdb__values_at_percentiles(column, percentiles) %}
    quantile_disc(
        {{ column }},
        [{% for p in percentiles %}cast('{{ p / 100 }}' as decimal(3, 2)) {{ ", " if not loop.last }} {% endfor %}]
    )
{% endmacro %}
