-- name: areas
-- Those that the caller's organization may clip, or the one of this name.
select area, title, description, item_id, mosaic_types, geometry, bbox, datetime, start_datetime, end_datetime, gsd
from clip_areas(:area::text);

-- name: set_area
select set_clip_area(:area, :title, :description, :item, :mosaic_types, :open_to) as done;

-- name: remove_area
select remove_clip_area(:area) as done;

-- name: item
select id from item where organization_id = :org and id = :item and deleted_at is null;

-- name: rasters
select key from asset
where organization_id = :org and item_id = :item and deleted_at is null and band_count > 0
  and object_path is not null
order by (key = 'data') desc, created_at, id;

-- name: unfinished
-- Across tenants, for the operator: clips that have not ended of an item of somebody else.
select j.id, j.organization_id, j.epoch, j.input_params
from job j join item i on i.id = :item and i.organization_id <> j.organization_id
where j.job_type_id = 'clip' and j.status in ('pending', 'dispatched', 'running') and j.deleted_at is null
  and :item = any (j.source_item_ids)
order by j.id;
