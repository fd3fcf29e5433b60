-- name: keep_version
insert into item_version (organization_id, item_id, version, snapshot)
select i.organization_id, i.id, i.version, to_jsonb(i) - 'organization_id'
from item i where i.organization_id = :org and i.id = :id;

-- name: update_item
update item
set collection_id = :collection_id, name = :name, description = :description, geometry = :geometry, bbox = :bbox,
    datetime = :datetime, start_datetime = :start_datetime, end_datetime = :end_datetime,
    cloud_cover = :cloud_cover, gsd = :gsd, properties = :properties, stac_extensions = :stac_extensions, links = :links,
    lifecycle_state = :lifecycle_state,
    archived_at = case when :lifecycle_state <> 'archived' then null else coalesce(archived_at, now()) end,
    previous_version_id = id || '@' || version, version = version + 1
where organization_id = :org and id = :id;
