-- Grain: source, field. When a field came, when it was last there, and what has changed about it.
-- In sampled records, the first and last lines of each file; fewer than 50 of them prove nothing.
with
    totals as (
        select
            source,
            cast(max(source_records) as bigint) as records,
            cast(sum(case when latest then records else 0 end) as bigint) as latest_records,
            cast(sum(case when newest_batch then records else 0 end) as bigint) as newest_records,
            count(distinct file_id) as files
        from {{ ref("sampled_parts") }}
        group by source
    ),

    judged as (
        select
            fields.*,
            totals.files - fields.files_with as files_without,
            totals.latest_records as latest_of,
            totals.records - totals.latest_records as before_of,
            first_part.path as first_file,
            first_part.utc_day as first_day,
            last_part.path as last_file,
            last_part.utc_day as last_day,
            type_part.path as type_file,
            last_part.records_after - totals.newest_records < 50 as newly_gone,
            case
                when
                    last_part.records_after >= 50
                    and fields.records * 10 >= (last_part.upto - first_part.records_before) * 9
                then 'vanished'
                when type_part.newest_batch and type_part.records_before - first_part.records_before >= 50
                then 'type_changed'
                when first_part.newest_batch and first_part.records_before >= 50
                then 'new'
                else 'steady'
            end as status
        from {{ ref("sampled_fields") }} as fields
        inner join totals on fields.source = totals.source
        inner join
            {{ ref("sampled_parts") }} as first_part
            on fields.source = first_part.source
            and fields.first_step = first_part.step
        inner join
            {{ ref("sampled_parts") }} as last_part
            on fields.source = last_part.source
            and fields.last_step = last_part.step
        inner join
            {{ ref("sampled_parts") }} as type_part
            on fields.source = type_part.source
            and fields.type_step = type_part.step
    )

select
    source,
    field,
    mapped,
    status,
    types,
    first_file,
    first_day,
    last_file,
    last_day,
    case
        status when 'vanished' then last_file when 'type_changed' then type_file when 'new' then first_file
    end as changed_in,
    status <> 'steady' and (status <> 'vanished' or newly_gone) as recent,
    files_with,
    files_without,
    cast(
        {{ whole_divide("10000 * (records - latest_records)", "nullif(before_of, 0)") }} * 0.01 as decimal(5, 2)
    ) as percent_before,
    cast({{ whole_divide("10000 * latest_records", "latest_of") }} * 0.01 as decimal(5, 2)) as percent_latest
from judged
