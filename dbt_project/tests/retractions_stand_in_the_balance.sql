-- The events that reviewed rows take out are those that the balance has as retracted, each once.
{{ config(meta={"dagster": {"ref": {"name": "retractions"}}}) }}
with
    by_row as (select coalesce(sum(in_force), 0) as events from {{ ref("retractions") }} where action = 'retract'),

    by_file as (select retracted as events from {{ ref("ingest_balance") }} where level = 'total')

select by_row.events as events_of_rows, by_file.events as events_of_files
from by_row
cross join by_file
where by_row.events is distinct from by_file.events
