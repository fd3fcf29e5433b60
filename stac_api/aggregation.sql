-- name: aggregate_items
select opstac.aggregate_items(:organization, :slot, :projects, :collections, :ids, :search::text::jsonb,
  :aggregations::text::jsonb) as found

-- name: aggregate_public_items
select opstac.aggregate_public_items(:collections, :ids, :search::text::jsonb, :aggregations::text::jsonb) as found
