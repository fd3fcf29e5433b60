-- Mosaics: which items a picture of a collection or of a search is drawn from. The tiler's role may call
-- these and no more. The search itself runs as opstac_stac, as every search does.

-- ---------------------------------------------------------------- rows of assets, by item

create function mosaic_versions(p_org text, p_items text[], p_key text) returns text
language sql stable security definer set search_path = opstac, pg_temp as $$
  select md5(coalesce(string_agg(a.id || ':' || a.version || ':' || coalesce(a.checksum, '')
                                 || ':' || coalesce(v.versions, ''), ',' order by a.id), ''))
  from asset a
  left join lateral (
    select string_agg(p.id || ':' || p.version || ':' || p.is_default, ',' order by p.id) as versions
    from visualization_profile p where p.item_id = a.item_id
  ) v on true
  where a.item_id = any (p_items) and a.organization_id = p_org and a.deleted_at is null
    and (p_key is null or a.key = p_key)
$$;
comment on function mosaic_versions is 'A digest that changes when an asset of these items does.';

create function mosaic_assets(p_org text, p_items text[], p_key text)
returns table (
  place bigint, organization_id text, project_id text, item_id text, item_name text, asset_id text, asset_key text,
  object_path text, checksum text, media_type text, epsg integer, width integer, height integer,
  dtype text, nodata float8, nodata_is_nan boolean, band_names text[], bands jsonb, raster jsonb,
  is_categorical boolean, bbox float8[], version integer, profiles jsonb, href text
)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select u.place, r.organization_id, r.project_id, r.item_id, r.item_name, r.asset_id, r.asset_key,
         r.object_path, r.checksum, r.media_type, r.epsg, r.width, r.height, r.dtype, r.nodata, r.nodata_is_nan,
         r.band_names, r.bands, r.raster, r.is_categorical, r.bbox, r.version, r.profiles, r.href
  from unnest(p_items) with ordinality u(id, place), lateral resolve_asset(u.id, p_key) r
  where r.organization_id = p_org
  order by u.place
$$;
comment on function mosaic_assets is 'What resolve_asset says of each of these items of one organization, in their order.';

create function mosaic_target(p_org text, p_projects text[], p_kind text, p_id text)
returns table (name text, project_id text, collection_id text, search jsonb)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select c.name, c.project_id, c.id, null::jsonb
  from collection c join project p on p.id = c.project_id and p.deleted_at is null
  where p_kind = 'collection' and c.organization_id = p_org and (c.id = p_id or c.slug = p_id)
    and c.deleted_at is null and (p_projects is null or c.project_id = any (p_projects))
  union all
  select s.name, s.project_id, null, s.search
  from saved_search s left join project p on p.id = s.project_id
  where p_kind = 'search' and s.organization_id = p_org and s.id = p_id
    and s.deleted_at is null and p.deleted_at is null
    and (s.project_id is null or p_projects is null or s.project_id = any (p_projects))
  limit 1
$$;
comment on function mosaic_target is
  'The collection (by id or slug) or saved search that a mosaic shows, where the caller may see it.';

-- ---------------------------------------------------------------- the search

create function mosaic_items(
  p_org text, p_projects text[], p_collections text[], p_ids text[], p_searches jsonb, p_key text,
  p_bounds float8[], p_order text, p_limit integer, p_count boolean
)
returns table (items text[], covers boolean[], boxes jsonb, versions text, matched bigint)
language plpgsql volatile security definer set search_path = opstac, pgstac, public, pg_temp as $$
declare
  v_slot text;
  v_partition text;
  v_where text;
  v_area geometry;
  v_order text;
  v_sorted jsonb := coalesce(jsonb_path_query_first(p_searches, '$[last].sortby'),
                             jsonb_path_query_first(p_searches, '$[0].sortby'));
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  perform set_config('pgstac.readonly', 'true', true);
  select s.slot into v_slot from opstac.organization_slot s where s.organization_id = p_org;
  if v_slot is null then
    return query select '{}'::text[], '{}'::boolean[], '[]'::jsonb, ''::text, 0::bigint;
    return;
  end if;
  v_partition := opstac.slot_partition(v_slot);
  v_where := opstac.search_where(p_org, p_projects, p_collections, p_ids, coalesce(p_searches->0, '{}'));
  if jsonb_array_length(p_searches) > 1 then
    v_where := v_where || ' and (' || opstac.search_where(p_org, null, null, null, p_searches->1) || ')';
  end if;
  if p_bounds is not null then
    v_area := st_makeenvelope(p_bounds[1], p_bounds[2], p_bounds[3], p_bounds[4], 4326);
    v_where := v_where || format(' and st_intersects(geometry, %L::geometry)', v_area);
  end if;
  -- what ranks alike goes by id, so that every tile agrees
  v_order := case p_order
    when 'newest' then 'datetime desc, id desc'
    when 'oldest' then 'datetime, id'
    when 'cloud' then 'to_float(content->''properties''->''eo:cloud_cover'') asc nulls last, datetime desc, id desc'
    else case when v_sorted is not null
                then pgstac.sort_sqlorderby(jsonb_build_object('sortby', v_sorted), false, '{id}', array[v_slot])
              else 'datetime desc, id desc' end
  end;
  execute format(
    'select coalesce(array_agg(r.id order by r.n), ''{}''), coalesce(array_agg(r.covers order by r.n), ''{}''),
            coalesce(jsonb_agg(r.box order by r.n), ''[]'')
     from (select s.*, row_number() over () as n
           from (select id, %s as covers, jsonb_build_array(
                          st_xmin(geometry), st_ymin(geometry), st_xmax(geometry), st_ymax(geometry)) as box
                 from pgstac.%I where %s and not st_isempty(geometry) order by %s limit %s) s) r',
    case when v_area is null then 'false' else format('st_covers(geometry, %L::geometry)', v_area) end,
    v_partition, v_where, v_order, p_limit) into items, covers, boxes;
  versions := opstac.mosaic_versions(p_org, items, p_key);
  if p_count then
    execute format('select count(*) from (select 1 from pgstac.%I where %s limit 100000) c', v_partition, v_where)
      into matched;
  end if;
  return next;
end $$;
comment on function mosaic_items is
  'The items of one organization that a picture may be drawn from, best first. p_projects: what the caller may '
  'see, null for all. p_searches: one or two searches as pgstac takes them; both hold. p_bounds: west, south, '
  'east, north in degrees, null for everywhere. p_order: newest, oldest, '
  'cloud or first (by the search''s own order). covers: the item''s footprint holds all of p_bounds.';

do $$
declare
  f text;
begin
  foreach f in array array['mosaic_versions(text, text[], text)', 'mosaic_assets(text, text[], text)',
                           'mosaic_target(text, text[], text, text)'] loop
    execute format('revoke all on function %s from public', f);
    execute format('alter function %s owner to opstac_system', f);
  end loop;
end $$;
revoke all on function mosaic_items from public;
-- an owner needs the right to create where its function stands, for this moment
grant create on schema opstac to opstac_stac;
alter function mosaic_items owner to opstac_stac;
revoke create on schema opstac from opstac_stac;
set local role opstac_stac;
grant execute on function mosaic_items to opstac_tiler, opstac_app;
set local role opstac_owner;
grant execute on function mosaic_versions to opstac_stac;
grant execute on function mosaic_assets, mosaic_target, stac_names to opstac_tiler;
grant execute on function mosaic_assets, mosaic_target to opstac_app;
