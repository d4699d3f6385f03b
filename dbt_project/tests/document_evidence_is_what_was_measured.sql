-- Of the documents of the last close, what events measured line by line is what the document says was measured.
{{ config(meta={"dagster": {"ref": {"name": "document_evidence"}}}) }}
with
    evidence as (
        select document, position, sum(quantity) as quantity, count(*) as days
        from {{ ref("document_evidence") }}
        where outcome = 'taken' and entry = (select max(entry) from {{ source("record", "line_evidence") }})
        group by document, position
        having count(quantity) > 0
    )

select evidence.document, evidence.position, evidence.quantity, lines.measured
from evidence
left join
    {{ source("record", "issued_lines") }} as lines
    on evidence.document = lines.number
    and evidence.position = lines.position
where lines.measured is null or evidence.quantity <> lines.measured
