-- What is reported as belonging to nobody is all of it, file by file summed up.
{{ config(meta={"dagster": {"ref": {"name": "unattributed_usage"}}}) }}
select files.events as events_of_files, reported.events as events_reported
from (select coalesce(sum(events), 0) as events from {{ ref("unattributed_by_file") }}) as files
cross join (select coalesce(sum(events), 0) as events from {{ ref("unattributed_usage") }}) as reported
where files.events is distinct from reported.events
