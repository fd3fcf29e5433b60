-- name: search_items
select rows, base::text as base, matched, estimated
from opstac.search_items(:organization, :slot, :projects, :collections, :ids, :search::text::jsonb,
  :limit, :offset, :after::text::jsonb, :reverse, :count)

-- name: names
select name, id, slug from opstac.stac_names(:organization, :projects, :names)
