-- name: keep_request
insert into scene_request (organization_id, job_id, scene_ids, params, holder)
values (:org, :job, :scene_ids, :params, :holder);

-- name: request
select scene_ids, holder, still_reads(holder, :org, array[:project::text]) as stands
from scene_request where organization_id = :org and job_id = :job;

-- name: result
-- The file of the first output that is still given out.
select a.key, a.file_name, a.object_path, a.media_type, a.size_bytes, a.href
from unnest(:items::text[]) with ordinality as o (item_id, place)
join item i on i.organization_id = :org and i.id = o.item_id and i.deleted_at is null
 and i.lifecycle_state <> 'expired'
join asset a on a.organization_id = i.organization_id and a.item_id = i.id and a.deleted_at is null
 and a.object_path is not null
order by o.place, (a.key = 'data') desc, a.created_at, a.id
limit 1;
