-- name: resolve
select organization_id, project_id, item_id, item_name, asset_id, asset_key, object_path, checksum, media_type,
       epsg, width, height, dtype, nodata, nodata_is_nan, band_names, bands, raster, is_categorical, bbox, version,
       profiles, href, (:holder = '' or still_reads(:holder, organization_id, array[project_id])) as stands
from resolve_asset(:item, :key);

-- name: rasters
-- Why there is nothing to draw: asked only where `resolve` gave no row.
select organization_id, project_id, lifecycle_state, expires_at, keys,
       (:holder = '' or still_reads(:holder, organization_id, array[project_id])) as stands
from item_rasters(:item);

-- name: public_owner
select public_owner(:item, :asset) as organization_id;
