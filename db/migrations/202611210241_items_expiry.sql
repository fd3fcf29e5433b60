-- Items have an end: what is past it is not given out. The look-ups here see past one tenant, so they are
-- functions of the platform's role and give no more than is needed.

create index item_expiry on item (expires_at)
  where expires_at is not null and deleted_at is null and lifecycle_state not in ('expired', 'deleted');

create function item_rasters(p_item text)
returns table (
  organization_id text, project_id text, lifecycle_state text, expires_at timestamptz, keys text[]
)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select i.organization_id, i.project_id, i.lifecycle_state, i.expires_at,
         coalesce((select array_agg(a.key order by (a.key = 'data') desc, a.created_at, a.id)
                   from asset a where a.item_id = i.id and a.deleted_at is null 
                     and (a.band_count > 0 or a.href is not null)), '{}')
  from item i
  where i.id = p_item and i.deleted_at is null
$$;
comment on function item_rasters is
  'What a tile could be drawn from, with its tenant: the caller checks who may see it.';

create function expiring_items(p_before timestamptz, p_limit integer) returns setof item
language sql stable security definer set search_path = opstac, pg_temp as $$
  select i.*
  from item i
  where i.expires_at <= p_before and i.deleted_at is null and i.lifecycle_state not in ('expired', 'deleted')
  order by i.expires_at, i.id
  limit p_limit
$$;
comment on function expiring_items is 'Items of every organization that end before a time, the first to end first.';

create or replace function resolve_asset(p_item text, p_key text)
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
  where i.id = p_item and i.deleted_at is null and i.lifecycle_state <> 'expired'
    -- thumbnails and documents are assets too, and are drawn by nobody
    and (a.band_count > 0 or a.href is not null)
    and (p_key is null or a.key = p_key)
  -- a raster of ours before one that lies elsewhere
  order by a.object_path is null, (a.key = 'data') desc, a.media_type !~ '^image/tiff', a.created_at, a.id
  limit 1
$$;

revoke all on function item_rasters, expiring_items from public;
alter function item_rasters owner to opstac_system;
alter function expiring_items owner to opstac_system;
grant execute on function item_rasters to opstac_app, opstac_tiler;
grant execute on function expiring_items to opstac_app;
