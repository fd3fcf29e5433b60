-- name: collections
select id, slug, project_id, title, description, stac, created_at, updated_at
from opstac.stac_collections(:organization, :projects, :names, :limit, :offset)

-- name: extents
select id, west, south, east, north, first_at, last_at, items
from opstac.stac_extents(:organization, :slot, :projects, :ids)

-- name: default_project
select opstac.stac_default_project(:organization, :projects) as id

-- name: queryables
select pgstac.get_queryables(null::text[]) as document
