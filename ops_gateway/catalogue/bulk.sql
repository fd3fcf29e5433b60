-- name: known
-- Items of a collection, or of a project's uncollected ones, by the ids that clients know.
select id, stac_id, import_hash from item
where organization_id = :org and coalesce(collection_id, project_id) = :home and stac_id = any (:ids)
  and deleted_at is null;

-- name: items_for_update
select id, type, name, description, geometry, bbox, datetime, start_datetime, end_datetime, cloud_cover, gsd,
       properties, stac_extensions, links
from item
where organization_id = :org and id = any (:ids) and deleted_at is null
order by id for update;

-- name: mark_imported
update item i set import_hash = r.import_hash
from jsonb_populate_recordset(null::item, :rows::jsonb) r
where i.organization_id = :org and i.id = r.id;

-- name: keep_versions
insert into item_version (organization_id, item_id, version, snapshot)
select i.organization_id, i.id, i.version, to_jsonb(i) - 'organization_id'
from item i where i.organization_id = :org and i.id = any (:ids);

-- name: update_items
update item i
set type = r.type, name = r.name, description = r.description, geometry = r.geometry, bbox = r.bbox,
    datetime = r.datetime, start_datetime = r.start_datetime, end_datetime = r.end_datetime,
    cloud_cover = r.cloud_cover, gsd = r.gsd, properties = r.properties, stac_extensions = r.stac_extensions, links = r.links,
    import_hash = r.import_hash, previous_version_id = i.id || '@' || i.version, version = i.version + 1, updated_at = now()
from jsonb_populate_recordset(null::item, :rows::jsonb) r
where i.organization_id = :org and i.id = r.id
returning i.id, i.project_id, i.collection_id, i.stac_id, i.type, i.name, i.description, i.geometry, i.bbox,
          i.datetime, i.start_datetime, i.end_datetime, i.cloud_cover, i.gsd, i.properties, i.stac_extensions, i.links,
          i.upload_id, i.job_id, i.version, i.expires_at, i.created_at, i.updated_at;
