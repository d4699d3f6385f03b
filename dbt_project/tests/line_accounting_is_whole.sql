-- The accounting by source is the sum of the files, and its lines are the sum of its buckets.
{{ config(meta={"dagster": {"ref": {"name": "line_accounting"}}}) }}
with
    files as (
        select source, count(*) as files, sum(lines) as lines, sum(accepted) as accepted
        from {{ ref("ingested_files") }}
        group by source
    )

select coalesce(files.source, accounting.source) as source, files.lines as lines_of_files, accounting.lines
from files
full outer join {{ ref("line_accounting") }} as accounting on files.source = accounting.source
where
    files.lines is distinct from accounting.lines
    or files.files is distinct from accounting.files
    or files.accepted is distinct from accounting.accepted
    or accounting.lines
    is distinct from accounting.accepted
    + accounting.duplicate
    + accounting.conflict
    + accounting.quarantined
    + accounting.blank
