-- Every line of a file is accepted, duplicate, conflict, quarantined or blank. A missing count fails too.
{{ config(meta={"dagster": {"ref": {"name": "ingest_files"}}}) }}
select file_id, path, lines, accepted, duplicate, conflict, quarantined, blank
from {{ ref("ingest_files") }}
where lines is distinct from accepted + duplicate + conflict + quarantined + blank
