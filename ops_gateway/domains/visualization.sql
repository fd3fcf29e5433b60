-- name: profiles
select id, item_id, name, layer, type, is_default, sort_order, config, asset_key, version, created_by::text,
       created_at, updated_at
from visualization_profile
where organization_id = :org and item_id = :item
order by sort_order, created_at, id;

-- name: drawable
-- In the order a tile chooses from.
select id, key, band_count, band_names, bands, raster
from asset
where organization_id = :org and item_id = :item and deleted_at is null and band_count > 0
order by (key = 'data') desc, created_at, id;

-- name: insert_profile
insert into visualization_profile (id, organization_id, item_id, name, layer, type, is_default, sort_order, config,
                                   asset_key, created_by)
values (:id, :org, :item, :name, :layer, :type, :is_default, :sort_order, :config, :asset_key, :by)
returning id, item_id, name, layer, type, is_default, sort_order, config, asset_key, version, created_by::text,
          created_at, updated_at;

-- name: update_profile
update visualization_profile
set name = :name, layer = :layer, type = :type, sort_order = :sort_order, config = :config, asset_key = :asset_key,
    is_default = :is_default, version = version + 1, updated_at = now()
where organization_id = :org and id = :id
returning id, item_id, name, layer, type, is_default, sort_order, config, asset_key, version, created_by::text,
          created_at, updated_at;

-- name: clear_default
update visualization_profile set is_default = false, updated_at = now()
where organization_id = :org and item_id = :item and is_default;

-- name: make_default
update visualization_profile set is_default = true, updated_at = now()
where organization_id = :org and id = :id
returning id, item_id, name, layer, type, is_default, sort_order, config, asset_key, version, created_by::text,
          created_at, updated_at;

-- name: delete_profile
delete from visualization_profile where organization_id = :org and id = :id;
