-- Grain: line of an issued document, raw file, local day, outcome. The events behind it, as its close knew them.
{{ config(materialized="view") }}
select
    evidence.entry,
    evidence.document,
    evidence.position,
    evidence.file_id,
    files.path,
    files.sha256,
    evidence.local_day,
    evidence.outcome,
    evidence.events,
    evidence.quantity,
    evidence.first_line,
    evidence.last_line
from {{ source("record", "line_evidence") }} as evidence
left join {{ source("record", "files") }} as files on evidence.file_id = files.file_id
