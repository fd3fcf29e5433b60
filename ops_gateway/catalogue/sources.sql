-- name: assets
-- Rasters; or all files, without the pictures that stand for the item.
select id, key, title, file_name, object_path, media_type, roles, size_bytes, checksum, band_count, band_names,
       bands, is_categorical, datetime, epsg, width, height, transform
from asset
where organization_id = :org and item_id = :item and deleted_at is null
  and case when :files::boolean then not roles && '{thumbnail,overview}' else band_count > 0 end
  and object_path is not null
order by (key = 'data') desc, created_at, id;

-- name: shared_item
select id, organization_id, project_id, collection_id, stac_id, type, name, description, geometry, bbox,
       datetime, start_datetime, end_datetime, cloud_cover, gsd, properties, stac_extensions, lifecycle_state,
       expires_at, version
from shared_item(:item) where lifecycle_state <> 'expired';

-- name: shared_assets
select id, key, title, file_name, object_path, media_type, roles, size_bytes, checksum, band_count, band_names,
       bands, is_categorical, datetime, epsg, width, height, transform
from shared_assets(:item)
where case when :files::boolean then not roles && '{thumbnail,overview}' else band_count > 0 end and object_path is not null
order by (key = 'data') desc, created_at, id;

-- name: area_item
select id, organization_id, project_id, collection_id, stac_id, type, name, description, geometry, bbox,
       datetime, start_datetime, end_datetime, cloud_cover, gsd, properties, stac_extensions, lifecycle_state,
       expires_at, version
from clip_area_item(:item);

-- name: area_assets
select id, key, title, file_name, object_path, media_type, roles, size_bytes, checksum, band_count, band_names,
       bands, is_categorical, datetime, epsg, width, height, transform, dtype
from clip_area_assets(:item)
where band_count > 0 and object_path is not null
order by (key = 'data') desc, created_at, id;
