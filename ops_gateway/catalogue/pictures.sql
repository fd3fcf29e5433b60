-- name: picture
select item_id, signature, asset_ids from item_picture where organization_id = :org and item_id = :item;

-- name: outdated
update item_picture set signature = null, asked_at = now() where organization_id = :org and item_id = :item;

-- name: drawn
insert into item_picture (item_id, organization_id, signature, asset_ids) values (:item, :org, :signature, :ids)
on conflict (item_id) do update set signature = excluded.signature, asset_ids = excluded.asset_ids;

-- name: forget
delete from item_picture where organization_id = :org and item_id = :item;

-- name: use_storage
-- No row where the quota has no room.
update organization set storage_used_bytes = storage_used_bytes + :bytes, updated_at = now()
where organization_id = :org and storage_used_bytes + storage_reserved_bytes + :bytes <= storage_quota_bytes;
