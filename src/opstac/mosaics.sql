-- name: target
select name, project_id, collection_id, search,
       (:holder = '' or still_reads(:holder, :org, :projects::text[])) as stands
from mosaic_target(:org, :projects, :kind, :id);

-- name: public_target
select name, project_id, collection_id, search, organization_id from public_mosaic_target(:id);

-- name: names
select name, id from mosaic_names(:org, :projects, :names);

-- name: items
select items, covers, boxes, versions, matched
from mosaic_items(:org, :projects, :collections, :ids, :searches::text::jsonb, :key, :bounds::float8[], :order,
                  :limit, :count);

-- name: assets
select * from mosaic_assets(:org, :items, :key);

-- name: outlines
select place, outline from mosaic_outlines(:org, :items, :tolerance);

-- name: means
select place, names, bands from mosaic_means(:org, :items, :key);
