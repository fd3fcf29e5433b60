-- name: insert_items
-- No row comes back for an item whose stac_id is taken.
insert into item (id, organization_id, project_id, collection_id, stac_id, type, name, description, geometry, bbox,
                  datetime, start_datetime, end_datetime, cloud_cover, gsd, properties, stac_extensions, links,
                  duplicated_from_id, order_id, upload_id, job_id, created_by, import_hash)
select r.id, :org, r.project_id, r.collection_id, r.stac_id, r.type, r.name, r.description, r.geometry, r.bbox,
       r.datetime, r.start_datetime, r.end_datetime, r.cloud_cover, r.gsd, r.properties, r.stac_extensions, coalesce(r.links, '[]'),
       r.duplicated_from_id, r.order_id, r.upload_id, r.job_id, r.created_by, r.import_hash
from jsonb_populate_recordset(null::item, :rows::jsonb) r
on conflict do nothing
returning id, lifecycle_state, version, created_at, updated_at;

-- name: hold_collections
-- Waits for a deletion under way (which takes the row for update) and then does not find it.
select id from collection
where organization_id = :org and id = any (:ids) and deleted_at is null
order by id for key share;

-- name: id_is_taken
-- A client's id may not be the platform's id of another item: a look-up takes both.
select id from item where organization_id = :org and id = any (:ids);

-- name: insert_assets
-- No row comes back for a key the item has already.
insert into asset (id, organization_id, item_id, key, title, file_name, object_path, media_type, roles, size_bytes,
                   checksum, epsg, width, height, transform, dtype, nodata, nodata_is_nan, band_count, band_names,
                   bands, raster, is_cog, is_categorical, datetime, href, stac, project_id)
select r.id, :org, r.item_id, r.key, r.title, r.file_name, r.object_path, r.media_type, r.roles, r.size_bytes,
       r.checksum, r.epsg, r.width, r.height, r.transform, r.dtype, r.nodata, r.nodata_is_nan, r.band_count,
       r.band_names, r.bands, r.raster, r.is_cog, r.is_categorical, r.datetime, r.href,
       coalesce(r.stac, '{}'), i.project_id
from jsonb_populate_recordset(null::asset, :rows::jsonb) with ordinality r
left join item i on i.organization_id = :org and i.id = r.item_id
order by r.ordinality
on conflict do nothing
returning id, version, created_at, updated_at;

-- name: drop_assets
update asset set deleted_at = now(), updated_at = now()
where organization_id = :org and id = any (:ids) and object_path is null;

-- name: insert_profiles
insert into visualization_profile (id, organization_id, item_id, name, layer, type, is_default, sort_order, config,
                                   asset_key, created_by)
select r.id, :org, r.item_id, r.name, r.layer, r.type, r.is_default, r.sort_order, r.config, r.asset_key,
       r.created_by
from jsonb_populate_recordset(null::visualization_profile, :rows::jsonb) r;

-- name: any_profile
select id from visualization_profile where organization_id = :org and item_id = :item limit 1;

-- name: place_item
update item set geometry = :geometry, bbox = :bbox where organization_id = :org and id = :id;

-- name: touch_item
-- What was imported is no longer what is here.
update item set updated_at = now(), import_hash = null
where organization_id = :org and id = :id and deleted_at is null
returning id, project_id, collection_id, stac_id, type, name, description, geometry, bbox, datetime, start_datetime,
          end_datetime, cloud_cover, gsd, properties, stac_extensions, links, lifecycle_state, expires_at, archived_at,
          version, previous_version_id, duplicated_from_id, order_id, upload_id, job_id, deleted_at,
          created_by::text, created_at, updated_at;

-- name: assets
select id, item_id, key, title, file_name, object_path, media_type, roles, size_bytes, checksum, epsg, width,
       height, transform, dtype, nodata, nodata_is_nan, band_count, band_names, bands, raster, is_cog,
       is_categorical, datetime, href, stac, version, created_at, updated_at
from asset
where organization_id = :org and item_id = :item and deleted_at is null
order by created_at, id;

-- name: slot
select slot from organization_slot where organization_id = :org;

-- name: assets_of_items
select id, item_id, key, title, file_name, object_path, media_type, roles, size_bytes, checksum, epsg, width,
       height, transform, dtype, nodata, nodata_is_nan, band_count, band_names, bands, raster, is_cog,
       is_categorical, datetime, href, stac, version, created_at, updated_at
from asset
where organization_id = :org and item_id = any (:items) and deleted_at is null
order by created_at, id;

-- name: profiles_of_items
select id, item_id, name, layer, type, is_default, sort_order, config, asset_key, version
from visualization_profile
where organization_id = :org and item_id = any (:items)
order by sort_order, created_at, id;

-- name: earlier_form
update item set document_format = :format
where organization_id = :org and id = any (array(
  select i.id from item i
  where i.organization_id = :org and i.document_format < 1 and i.deleted_at is null
  order by i.id limit :limit for update skip locked))
returning id, project_id, collection_id, stac_id, type, name, description, geometry, bbox, datetime, start_datetime,
          end_datetime, cloud_cover, gsd, properties, stac_extensions, links, lifecycle_state, expires_at, archived_at,
          version, previous_version_id, duplicated_from_id, order_id, upload_id, job_id, deleted_at,
          created_by::text, created_at, updated_at;
