-- name: lock_sharers
select id from asset
where organization_id = :org and object_path = :path and deleted_at is null
order by id for update;

-- name: delete_asset
update asset set deleted_at = now(), updated_at = now() where organization_id = :org and id = :id;

-- name: free_storage
update organization set storage_used_bytes = greatest(storage_used_bytes - :bytes, 0), updated_at = now()
where organization_id = :org;
