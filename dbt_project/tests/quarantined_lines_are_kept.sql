-- Every line that a file's count calls quarantined can be looked at, with its reason.
{{ config(meta={"dagster": {"ref": {"name": "quarantine"}}}) }}
with kept as (select file_id, count(reason) as lines from {{ ref("quarantine") }} group by file_id)

select files.file_id, files.quarantined, kept.lines as lines_kept
from {{ ref("ingest_files") }} as files
full outer join kept on files.file_id = kept.file_id
where coalesce(files.quarantined, -1) <> coalesce(kept.lines, 0)
