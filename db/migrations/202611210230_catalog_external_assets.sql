-- Assets that lie elsewhere: an item of another catalogue keeps its files where they are. Such an asset
-- has an href and no object; what it weighs is known only where its catalogue says so.

alter table asset
  alter column object_path drop not null,
  alter column size_bytes drop not null,
  alter column checksum drop not null,
  add column href text,
  add column stac jsonb not null default '{}',
  add constraint asset_has_one_place check (num_nonnulls(object_path, href) = 1) not valid,
  add constraint asset_object_is_measured
    check (object_path is null or (size_bytes is not null and checksum is not null)) not valid;
alter table asset validate constraint asset_has_one_place, validate constraint asset_object_is_measured;
comment on column asset.href is 'Where a file lies that is not ours; null for one of the object store.';
comment on column asset.stac is 'What the other catalogue says of such a file: its STAC asset without the href.';

drop function resolve_asset(text, text);
create function resolve_asset(p_item text, p_key text)
returns table (
  organization_id text, project_id text, item_id text, item_name text, asset_id text, asset_key text,
  object_path text, checksum text, media_type text, epsg integer, width integer, height integer,
  dtype text, nodata float8, nodata_is_nan boolean, band_names text[], bands jsonb, raster jsonb,
  is_categorical boolean, bbox float8[], version integer, profiles jsonb, href text
)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select i.organization_id, i.project_id, i.id, i.name, a.id, a.key, a.object_path, a.checksum, a.media_type,
         a.epsg, a.width, a.height, a.dtype, a.nodata, a.nodata_is_nan, a.band_names, a.bands, a.raster,
         a.is_categorical, i.bbox, a.version,
         coalesce((select jsonb_agg(jsonb_build_object('id', v.id, 'name', v.name, 'type', v.type,
                     'config', v.config, 'asset_key', v.asset_key, 'version', v.version,
                     'is_default', v.is_default) order by v.is_default desc, v.sort_order, v.created_at)
                   from visualization_profile v where v.item_id = i.id), '[]'),
         a.href
  from item i join asset a on a.item_id = i.id and a.deleted_at is null
  where i.id = p_item and i.deleted_at is null
    and (a.key = p_key or (p_key is null and (a.band_count > 0 or a.href is not null)))
  -- a raster of ours before one that lies elsewhere
  order by a.object_path is null, (a.key = 'data') desc, a.media_type !~ '^image/tiff', a.created_at, a.id
  limit 1
$$;
comment on function resolve_asset is
  'The raster asset a tile is drawn from, with its tenant: the caller checks who may see it. '
  'One that lies elsewhere has an href and no object_path.';
revoke all on function resolve_asset from public;
alter function resolve_asset owner to opstac_system;
grant execute on function resolve_asset to opstac_app, opstac_tiler;
