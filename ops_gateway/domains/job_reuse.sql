-- name: same_recipe
-- Jobs whose outputs would be the same bytes, in projects that the job's creator sees: those of which
-- every file is as it was made. New items can be named where there is one, or where the names asked for
-- are the same.
select j.id, j.outputs, j.recipe, j.input_params
from job j join project p on p.organization_id = j.organization_id and p.id = j.project_id
where j.organization_id = :org and j.recipe_key = :key and j.status = 'completed' and j.deleted_at is null
  and p.deleted_at is null and (:projects::text[] is null or j.project_id = any (:projects))
  and (cardinality(j.output_item_ids) <= 1 or j.input_params ->> 'output_name' is not distinct from :name)
  and not exists (
    select from jsonb_array_elements(j.recipe -> 'outputs') o
    where not exists (
      select from asset a join item i on i.organization_id = a.organization_id and i.id = a.item_id
      where a.organization_id = :org and a.item_id = o ->> 'item_id' and a.key = o ->> 'asset_key'
        and a.checksum = o ->> 'checksum' and a.updated_at = a.created_at
        and a.deleted_at is null and i.deleted_at is null
        and (:projects::text[] is null or i.project_id = any (:projects))))
order by (j.cached_from is not null), j.completed_at, j.id
limit 5;

-- name: live_outputs
-- Files as they were made, locked so that their objects stay until this transaction ends.
select a.id, a.item_id, a.key, a.object_path, a.href, a.stac, a.title, a.file_name, a.media_type, a.roles,
       a.size_bytes, a.checksum, a.epsg, a.width, a.height, a.transform, a.dtype, a.nodata, a.nodata_is_nan,
       a.band_count, a.band_names, a.bands, a.raster, a.is_cog, a.is_categorical, a.datetime
from asset a join item i on i.organization_id = a.organization_id and i.id = a.item_id
where a.organization_id = :org and a.item_id = any (:items) and a.deleted_at is null and i.deleted_at is null
  and a.updated_at = a.created_at and (:projects::text[] is null or i.project_id = any (:projects))
order by a.id
for share of a, i;
