-- name: of_item
select id from asset where organization_id = :org and item_id = :item and deleted_at is null order by id;

-- name: of_items
select id from asset where organization_id = :org and item_id = any (:items) and deleted_at is null;

-- name: hold_project
select id from project where organization_id = :org and id = :id and deleted_at is null for key share;

-- name: lock_sharers
select a.id from asset a
where a.organization_id = :org and a.deleted_at is null
  and a.object_path = any (array(
    select b.object_path from asset b
    where b.organization_id = :org and b.id = any (:ids) and b.object_path is not null))
order by a.id for update;

-- name: delete_assets
update asset set deleted_at = now(), updated_at = now()
where organization_id = :org and id = any (:ids) and deleted_at is null
returning object_path, size_bytes;

-- name: free_storage
update organization
set storage_used_bytes = greatest(0, storage_used_bytes - :used),
    storage_reserved_bytes = greatest(0, storage_reserved_bytes - :reserved), updated_at = now()
where organization_id = :org;
