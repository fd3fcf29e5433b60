-- name: asset
select id, item_id, key, title, file_name, object_path, media_type, roles, size_bytes, checksum, epsg, width,
       height, transform, dtype, nodata, nodata_is_nan, band_count, band_names, bands, raster, is_cog,
       is_categorical, datetime, href, stac, version, created_at, updated_at
from asset
where organization_id = :org and item_id = :item and id = :id and deleted_at is null;

-- name: name_bands
update asset set band_names = :names, bands = :bands, version = version + 1, updated_at = now()
where organization_id = :org and id = :id
returning id, item_id, key, title, file_name, object_path, media_type, roles, size_bytes, checksum, epsg, width,
          height, transform, dtype, nodata, nodata_is_nan, band_count, band_names, bands, raster, is_cog,
          is_categorical, datetime, href, stac, version, created_at, updated_at;

-- name: count_egress
select count_usage(:org, 'egress_bytes', :bytes);
