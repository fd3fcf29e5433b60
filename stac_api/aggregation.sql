-- name: aggregate_items
select opstac.aggregate_items(:organization, :slot, :projects, :collections, :ids, :search::text::jsonb,
  :aggregations::text::jsonb) as found
