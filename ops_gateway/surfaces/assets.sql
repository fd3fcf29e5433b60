-- name: bind
select set_config('opstac.org', :org, true);

-- name: asset
select a.id, a.organization_id, a.item_id, a.key, a.file_name, a.object_path, a.href, a.media_type, a.size_bytes,
       i.project_id, i.lifecycle_state, i.expires_at
from asset a join item i on i.id = a.item_id and i.organization_id = a.organization_id
where a.organization_id = :org and a.id = :id and a.deleted_at is null and i.deleted_at is null;
