-- Grain: source, field. Where in the order of the sampled parts a field begins, ends and gets another type, and how
-- many records have it. A JSON null is none.
{{ config(materialized="table") }}
with
    typed as (
        select
            parts.source,
            parts.step,
            parts.file_id,
            parts.latest,
            parts.records as part_records,
            fields.field,
            fields.type,
            fields.mapped,
            case when fields.type = 'null' then 0 else fields.records end as records
        from {{ source("record", "fields") }} as fields
        inner join {{ ref("sampled_parts") }} as parts on fields.file_id = parts.file_id and fields.part = parts.part
        where fields.field <> ''
    ),

    -- An array may have elements of several types in one record.
    present as (
        select
            source,
            field,
            step,
            file_id,
            latest,
            max(mapped) as mapped,
            least(sum(records), max(part_records)) as records
        from typed
        group by source, field, step, file_id, latest
    ),

    counted as (
        select
            source,
            field,
            max_by(mapped, step) as mapped,
            min(case when records > 0 then step end) as first_step,
            max(case when records > 0 then step end) as last_step,
            count(distinct case when records > 0 then file_id end) as files_with,
            cast(sum(records) as bigint) as records,
            cast(sum(case when latest then records else 0 end) as bigint) as latest_records
        from present
        group by source, field
    ),

    begun as (
        select source, field, type, min(step) as begins from typed where records > 0 group by source, field, type
    ),

    types as (
        select
            source, field, max(begins) as type_step, {{ dbt.listagg("type", "', '", "order by begins, type") }} as types
        from begun
        group by source, field
    )

select counted.*, types.type_step, types.types
from counted
inner join types on counted.source = types.source and counted.field = types.field
