-- name: name_is_taken
-- A slug may not be the id of another collection or of a project: a look-up takes all of them.
select id from collection where organization_id = :org and id = :slug
union all
select id from project where organization_id = :org and id = :slug;

-- name: insert_collection
-- No row where the slug is taken.
insert into collection (id, organization_id, project_id, slug, name, description, color, show_on_map, layer_order,
                        stac)
values (:id, :org, :project_id, :slug, :name, :description, :color, :show_on_map, :layer_order, :stac)
on conflict do nothing;

-- name: get_collection
select c.id, c.project_id, c.slug, c.name, c.description, c.color, c.show_on_map, c.layer_order, c.auto_created,
       c.source_type, c.source_id, c.public, c.deleted_at, c.created_at, c.updated_at,
       (select count(*) from item i
        where i.organization_id = :org and i.collection_id = c.id and i.deleted_at is null) as item_count
from collection c
where c.organization_id = :org and c.id = :id and c.deleted_at is null;

-- name: list_collections
select c.id, c.project_id, c.slug, c.name, c.description, c.color, c.show_on_map, c.layer_order, c.auto_created,
       c.source_type, c.source_id, c.public, c.deleted_at, c.created_at, c.updated_at, coalesce(n.items, 0) as item_count
from collection c
left join (select i.collection_id, count(*) as items from item i
           where i.organization_id = :org and i.project_id = :project and i.deleted_at is null
           group by i.collection_id) n on n.collection_id = c.id
where c.organization_id = :org and c.project_id = :project and c.deleted_at is null
order by c.layer_order, c.created_at desc, c.id;

-- name: update_collection
update collection
set name = coalesce(:name, name), description = coalesce(:description, description), color = coalesce(:color, color),
    show_on_map = coalesce(:show_on_map, show_on_map), layer_order = coalesce(:layer_order, layer_order),
    stac = (coalesce(:stac, stac) || :set_stac) - :unset_stac::text[], public = coalesce(:public, public),
    updated_at = now()
where organization_id = :org and id = :id;

-- name: lock_collection
select id from collection where organization_id = :org and id = :id and deleted_at is null for update;

-- name: delete_collection
update collection set deleted_at = now(), updated_at = now() where organization_id = :org and id = :id;

-- name: clash
select a.stac_id
from item a join item b on b.stac_id = a.stac_id and b.project_id = a.project_id
where a.organization_id = :org and a.collection_id = :id and a.deleted_at is null
  and b.organization_id = :org and b.collection_id is null and b.deleted_at is null
limit 1;
