-- name: job_of_item
-- The job that made an item, whatever its organization.
select j.* from item i join job j on j.organization_id = i.organization_id and i.id = any (j.output_item_ids)
where i.id = :item and i.deleted_at is null
order by j.completed_at desc limit 1;

-- name: asset_path
select object_path from asset
where organization_id = :organization and item_id = :item and key = :key and deleted_at is null;
