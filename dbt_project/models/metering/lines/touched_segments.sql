-- Grain: line, of those that are measured in this build.
{{ config(materialized="view") }}
select segments.*
from {{ source("control", "segments") }} as segments
inner join {{ source("control", "touched_lines") }} as touched on segments.line_id = touched.line_id
