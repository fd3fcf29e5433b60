-- name: expired
-- Across tenants, for the maintenance loop.
select j.id, j.organization_id, j.epoch
from hold h join job j on j.hold_id = h.id
where h.state = 'open' and h.expires_at < now() and j.status in ('pending', 'dispatched', 'running')
order by h.expires_at limit :limit;

-- name: undispatched
-- Across tenants: pending jobs whose door promised to dispatch them, of which nothing came. There was
-- no worker then and is one now, or the task was lost.
update job
set dispatch_asked_at = now()
from (
  select j.id as job_id
  from job j
  where j.status = 'pending'
    and j.dispatch_asked_at < now() - make_interval(secs => :seconds)
    and j.deleted_at is null
    and exists (select 1 from registered_worker w
                where w.job_type_id = j.job_type_id and w.version = j.version and w.active)
  order by j.dispatch_asked_at
  limit :limit
  for no key update skip locked
) due
where job.id = due.job_id
returning job.id, job.organization_id;

-- name: ask_dispatch
update job set dispatch_asked_at = now() where organization_id = :org and id = :id;

-- name: raster_assets
select id, key, title, file_name, object_path, media_type, roles, size_bytes, checksum, band_count, band_names,
       bands, is_categorical, datetime, epsg, width, height, transform, dtype
from asset
where organization_id = :org and item_id = :item and deleted_at is null and band_count > 0
  and object_path is not null
order by (key = 'data') desc, created_at, id;

-- name: made_assets
-- The files of a job among the assets of an item: its own, or those of the earlier job that it was given.
select a.id, a.key, a.title, a.file_name, a.object_path, a.media_type, a.roles, a.size_bytes, a.checksum,
       a.band_count, a.band_names, a.bands, a.is_categorical, a.datetime
from asset a
where a.organization_id = :org and a.item_id = :item and a.deleted_at is null
  and (a.object_path like 'jobs/' || :job || '/%'
       or exists (select from job j, jsonb_array_elements(j.recipe -> 'outputs') o
                  where j.organization_id = :org and j.id = :job and j.cached_from is not null
                    and o ->> 'item_id' = a.item_id and o ->> 'asset_key' = a.key
                    and o ->> 'checksum' = a.checksum))
order by a.created_at, a.id;

-- name: insert_job
insert into job (id, organization_id, project_id, job_type_id, version, input_params, target_collection_id,
                 source_item_ids, hold_id, credits_reserved, terms, reuse_from, created_by)
values (:id, :org, :project_id, :job_type_id, :version, :input_params, :target_collection_id,
        :source_item_ids, :hold_id, :credits, :terms, :reuse_from, :user);

-- name: job
select id, organization_id, project_id, job_type_id, version, status, progress, stage, input_params,
       target_collection_id, source_item_ids, output_item_ids, outputs, hold_id, credits_reserved, credits_charged,
       terms, receipt, recipe, cached_from, reuse_from, answer_as, error_code, error_message, worker, epoch, created_by::text, created_at, dispatched_at, started_at,
       completed_at, updated_at, deadline, log
from job where organization_id = :org and id = :id and deleted_at is null;

-- name: job_for_update
select id, organization_id, project_id, job_type_id, version, status, progress, stage, input_params,
       target_collection_id, source_item_ids, output_item_ids, outputs, hold_id, credits_reserved, credits_charged,
       terms, receipt, recipe, cached_from, reuse_from, answer_as, error_code, error_message, worker, epoch, created_by::text, created_at, dispatched_at, started_at,
       completed_at, updated_at, deadline, log
from job where organization_id = :org and id = :id and deleted_at is null
for update;

-- name: active_worker
select name, queue from registered_worker
where job_type_id = :job_type_id and version = :version and active
  and heartbeat_at > now() - interval '60 seconds'
order by heartbeat_at desc limit 1;

-- name: dispatch
update job
set status = 'dispatched', version = :version, worker = :worker, queue_id = :queue_id, dispatched_at = now(),
    updated_at = now()
where organization_id = :org and id = :id and status = 'pending';

-- name: list_jobs
select id, organization_id, project_id, job_type_id, version, status, progress, stage, input_params,
       target_collection_id, source_item_ids, output_item_ids, hold_id, credits_reserved, credits_charged,
       terms, receipt, cached_from, answer_as, error_code, error_message, worker, epoch, created_by::text, created_at, dispatched_at, started_at,
       completed_at, updated_at, deadline, count(*) over () as total
from job
where organization_id = :org and deleted_at is null
  and (:projects::text[] is null or project_id = any (:projects))
  and (:project_id::text is null or project_id = :project_id)
  and (:types::text[] is null or job_type_id = any (:types))
  and (:statuses::text[] is null or status = any (:statuses))
  and (:ids::text[] is null or id = any (:ids))
  and (:since::timestamptz is null or created_at >= :since)
  and (:until::timestamptz is null or created_at <= :until)
  and (:shortest::float8 is null
       or extract(epoch from coalesce(completed_at, now()) - started_at) >= :shortest)
  and (:longest::float8 is null
       or extract(epoch from coalesce(completed_at, now()) - started_at) <= :longest)
order by case when :sort = 'created,asc' then created_at end asc,
         case when :sort = 'updated,desc' then updated_at end desc,
         case when :sort = 'updated,asc' then updated_at end asc,
         case when :sort = 'processID,desc' then job_type_id end desc,
         case when :sort = 'processID,asc' then job_type_id end asc,
         case when :sort = 'status,desc' then status end desc,
         case when :sort = 'status,asc' then status end asc,
         case when :sort = 'creditConsumption.credits,desc' then credits_charged end desc nulls last,
         case when :sort = 'creditConsumption.credits,asc' then credits_charged end asc nulls last,
         created_at desc, id desc
limit :limit offset :offset;

-- name: complete
update job
set status = 'completed', progress = 100, stage = null, output_item_ids = :items, outputs = :outputs,
    credits_charged = :charged, receipt = :receipt, recipe = :recipe, recipe_key = :recipe_key,
    cached_from = :cached_from, lease_until = null, completed_at = now(), updated_at = now()
where organization_id = :org and id = :id;

-- name: fail
update job
set status = 'failed', error_code = :code, error_message = :message, credits_charged = 0, stage = null,
    log = log_tail(log, :log::text[]), lease_until = null, completed_at = now(), updated_at = now()
where organization_id = :org and id = :id;

-- name: cancel
update job
set status = 'cancelled', cancel_requested = true, error_code = 'cancelled', credits_charged = 0, stage = null,
    lease_until = null, completed_at = now(), updated_at = now()
where organization_id = :org and id = :id;

-- name: set_answer_as
update job set answer_as = :answer_as where organization_id = :org and id = :id;

-- name: delete
update job set deleted_at = now(), updated_at = now() where organization_id = :org and id = :id;

-- name: output_paths
select object_path, file_name, size_bytes from job_output
where organization_id = :org and job_id = :id and epoch = :epoch;

-- name: insert_output
insert into job_output (organization_id, job_id, epoch, object_path, file_name, size_bytes)
values (:org, :id, :epoch, :path, :file_name, :size)
on conflict (object_path) do nothing;

-- name: replace_output
-- A file sent again takes the place of the one before.
delete from job_output
where organization_id = :org and job_id = :id and epoch = :epoch and file_name = :file_name
returning object_path;

-- name: room_for_outputs
-- What the organization may still store, files counted that are no assets yet.
select o.storage_quota_bytes - o.storage_used_bytes - o.storage_reserved_bytes
       - (select coalesce(sum(f.size_bytes), 0)
          from job_output f join job j on j.organization_id = f.organization_id and j.id = f.job_id
          where f.organization_id = :org and j.status in ('dispatched', 'running'))::bigint as bytes
from organization o
where o.organization_id = :org;

-- name: add_storage
update organization set storage_used_bytes = storage_used_bytes + :bytes, updated_at = now()
where organization_id = :org;

-- name: keep_answer
update job set outputs = :outputs where organization_id = :org and id = :id;

-- name: items_of_project
select id from item
where organization_id = :org and id = any (:ids) and project_id = :project_id and deleted_at is null;
