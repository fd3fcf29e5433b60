-- name: asset_by_id
select item_id, key from asset where organization_id = :org and id = :id and deleted_at is null;

-- name: asset_by_path
select item_id, key from asset
where organization_id = :org and object_path = :path and deleted_at is null
order by created_at limit 1;
