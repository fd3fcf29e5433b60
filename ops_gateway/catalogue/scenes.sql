-- name: scenes
-- Items whose id begins so, in collections known by one of the names; exact matches first, then the newest.
select i.id, i.stac_id, :scene in (i.id, i.stac_id) as exact
from item i
left join collection c on c.organization_id = i.organization_id and c.id = i.collection_id and c.deleted_at is null
where i.organization_id = :org and i.deleted_at is null and i.lifecycle_state <> 'expired'
  and (:projects::text[] is null or i.project_id = any (:projects))
  and (c.id = any (:collections) or c.slug = any (:collections) or c.name = any (:collections)
       -- what is in no collection is found by its project, as in the STAC API
       or (i.collection_id is null and i.project_id = any (:collections)))
  and (starts_with(i.stac_id, :scene) or starts_with(i.id, :scene))
order by exact desc, i.created_at desc, i.id
limit 10;

-- name: public_scenes
select id, stac_id, exact from public_scenes(:collections, :scene);
