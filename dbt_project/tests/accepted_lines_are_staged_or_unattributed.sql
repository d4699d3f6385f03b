-- Every event of a new file that counts belongs to a customer, or is reported as belonging to nobody: accepted lines,
-- with those that a reviewed decision lets count, and without those that it takes out. Or it is retracted.
{{ config(meta={"dagster": {"ref": {"name": "unattributed_by_file"}}}) }}
with
    attributed as (
        select file_id, count(*) as events from {{ ref("stg_events") }} where customer is not null group by file_id
    ),

    unattributed as (select file_id, sum(events) as events from {{ ref("unattributed_by_file") }} group by file_id),

    decided as (
        select file_id, sum(case when counts then 1 else -1 end) as events
        from {{ source("record", "decided") }}
        group by file_id
    ),

    retracted as (select file_id, count(*) as events from {{ source("record", "retracted") }} group by file_id)

select
    files.file_id,
    files.accepted,
    decided.events as decided,
    attributed.events as attributed,
    unattributed.events as unattributed,
    retracted.events as retracted
from {{ source("record", "files") }} as files
inner join {{ source("control", "new_files") }} as new_files on files.file_id = new_files.file_id
left join decided on files.file_id = decided.file_id
left join attributed on files.file_id = attributed.file_id
left join unattributed on files.file_id = unattributed.file_id
left join retracted on files.file_id = retracted.file_id
where
    files.accepted
    + coalesce(decided.events, 0)
    is distinct from coalesce(attributed.events, 0)
    + coalesce(unattributed.events, 0)
    + coalesce(retracted.events, 0)
