-- Source by source and day by day, the balance holds the files of the ledger and the lines of each of their buckets.
{{ config(meta={"dagster": {"ref": {"name": "ingest_balance"}}}) }}
with
    ledger as (
        select
            files.source,
            {{ day_of_epoch(whole_divide("batches.now_us", 86400000000)) }} as taken_day,
            count(case when files.retry_of is null then 1 end) as files,
            sum(files.lines) as lines,
            sum(files.accepted) as accepted,
            sum(files.duplicate) as duplicate,
            sum(files.conflict) as conflict,
            sum(files.quarantined) as quarantined,
            sum(files.blank) as blank
        from {{ source("record", "files") }} as files
        left join {{ source("record", "files") }} as taken on coalesce(files.retry_of, files.file_id) = taken.file_id
        left join {{ source("record", "batches") }} as batches on taken.batch_id = batches.batch_id
        group by files.source, {{ day_of_epoch(whole_divide("batches.now_us", 86400000000)) }}
    ),

    balance as (select * from {{ ref("ingest_balance") }} where level = 'source_day')

select
    coalesce(ledger.source, balance.source) as source,
    coalesce(ledger.taken_day, balance.taken_day) as taken_day,
    ledger.lines as lines_of_ledger,
    balance.lines
from ledger
full outer join balance on ledger.source = balance.source and ledger.taken_day = balance.taken_day
where
    ledger.files is distinct from balance.files
    or ledger.lines is distinct from balance.lines
    or ledger.accepted is distinct from balance.accepted
    or ledger.duplicate is distinct from balance.duplicate
    or ledger.conflict is distinct from balance.conflict
    or ledger.quarantined is distinct from balance.quarantined
    or ledger.blank is distinct from balance.blank
