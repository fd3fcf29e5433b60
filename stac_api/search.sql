-- name: search_items
select rows, base::text as base, matched, estimated, at_least
from opstac.search_items(:organization, :slot, :projects, :collections, :ids, :search::text::jsonb,
  :limit, :offset, :after::text::jsonb, :reverse, :count)

-- name: names
select name, id, slug from opstac.stac_names(:organization, :projects, :names)

-- name: search_public_items
select rows, base::text as base, matched, estimated, at_least
from opstac.search_public_items(:collections, :ids, :search::text::jsonb, :limit, :offset, :after::text::jsonb,
  :reverse, :count)

-- name: public_names
select n.name, c.id, c.slug, c.organization_id
from opstac.public_collections() c join unnest(:names::text[]) n (name) on n.name in (c.id, c.slug)
