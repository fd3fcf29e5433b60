-- name: shared_item
-- An item that was moved elsewhere is not shared any more.
select id from item
where organization_id = :org and id = :id and project_id = :project and deleted_at is null
  and (:collection::text is null or collection_id = :collection);

-- name: shared_collection
select id from collection
where organization_id = :org and id = :id and project_id = :project and deleted_at is null;

-- name: asset
select a.id, a.item_id, a.organization_id, a.key, a.file_name, a.object_path, a.href, a.media_type, a.size_bytes,
       i.lifecycle_state, i.expires_at
from asset a join item i on i.id = a.item_id and i.organization_id = a.organization_id
where a.organization_id = :org and a.id = :id and a.deleted_at is null and i.deleted_at is null;
