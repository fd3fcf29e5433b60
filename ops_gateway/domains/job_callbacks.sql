-- name: add
insert into job_callback (organization_id, job_id, kind, url, base_url, holder)
values (:org, :job, :kind, :url, :base_url, :holder);

-- name: given
select base_url, still_reads(holder, :org, array[:project::text]) as stands
from job_callback where organization_id = :org and job_id = :job and kind = :kind;

-- name: job_even_deleted
select id, organization_id, project_id, job_type_id, version, status, progress, stage, input_params,
       target_collection_id, source_item_ids, output_item_ids, outputs, answer_as, error_code, error_message, created_at,
       dispatched_at, started_at, completed_at, updated_at, log
from job where organization_id = :org and id = :id;
