-- name: items
select i.id, i.project_id, i.stac_id, i.datetime, i.start_datetime, i.properties,
       i.lifecycle_state, i.expires_at
from item i
where i.organization_id = :org and i.id = any (:ids) and i.deleted_at is null;

-- name: collection_items
select i.id
from item i
where i.organization_id = :org and i.collection_id = :collection and i.deleted_at is null
  and (:low::timestamptz is null or coalesce(i.datetime, i.start_datetime) >= :low)
  and (:high::timestamptz is null or coalesce(i.datetime, i.start_datetime) <= :high)
  and exists (select from asset a where a.organization_id = i.organization_id and a.item_id = i.id
              and a.deleted_at is null and a.band_count > 0)
order by coalesce(i.datetime, i.start_datetime), i.id
limit :limit;

-- name: assets
select a.item_id, a.key, a.object_path, a.checksum, a.band_count, a.band_names, a.bands, a.is_categorical,
       a.datetime
from asset a
where a.organization_id = :org and a.item_id = any (:ids) and a.deleted_at is null and a.band_count > 0
  and a.object_path is not null
order by (a.key = 'data') desc, a.created_at, a.id;
