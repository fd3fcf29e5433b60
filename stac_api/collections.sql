-- name: collections
select id, slug, project_id, title, description, stac, created_at, updated_at
from opstac.stac_collections(:organization, :projects, :names, :limit, :offset)

-- name: extents
select id, west, south, east, north, first_at, last_at
from opstac.stac_extents(:organization, :projects, :ids)

-- name: default_project
select opstac.stac_default_project(:organization, :projects) as id

-- name: count
select opstac.stac_collection_count(:organization, :projects) as matched

-- name: public_collections
select id, slug, null::text as project_id, title, description, stac, created_at, updated_at
from opstac.public_collections()
where :names::text[] is null or id = any (:names) or slug = any (:names)
order by created_at, id
limit :limit offset :offset

-- name: public_count
select count(*) as matched from opstac.public_collections()

-- name: public_extents
select id, west, south, east, north, first_at, last_at from opstac.public_extents(:ids)
