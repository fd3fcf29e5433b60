-- Footprints across the antimeridian keep their west and east, and all that a picture of thousands of items
-- needs: their outlines and the means of their bands.

create function mosaic_box(p_shape geometry) returns jsonb
language sql immutable parallel safe set search_path = public, pg_temp as $$
  select case when b.shifted
              then jsonb_build_array(st_xmin(b.other), st_ymin(p_shape), st_xmax(b.other) - 360, st_ymax(p_shape))
              else jsonb_build_array(st_xmin(p_shape), st_ymin(p_shape), st_xmax(p_shape), st_ymax(p_shape)) end
  from (select o.other, coalesce(st_xmax(o.other) - st_xmin(o.other) < st_xmax(p_shape) - st_xmin(p_shape), false)
        from (select case when st_xmax(p_shape) - st_xmin(p_shape) > 180 then st_shiftlongitude(p_shape) end) o(other)
       ) b(other, shifted)
$$;
comment on function mosaic_box is
  'West, south, east, north in degrees; west > east where the shape crosses the antimeridian.';
revoke all on function mosaic_box from public;
grant execute on function mosaic_box to opstac_stac;

create function mosaic_outlines(p_org text, p_items text[], p_tolerance float8)
returns table (place bigint, outline bytea)
language plpgsql volatile security definer set search_path = opstac, pgstac, public, pg_temp as $$
declare
  v_slot text;
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  select s.slot into v_slot from opstac.organization_slot s where s.organization_id = p_org;
  if v_slot is null then
    return;
  end if;
  return query execute format(
    'select u.place, st_asbinary(coalesce(st_simplify(i.geometry, $2, true), i.geometry))
     from unnest($1) with ordinality u(id, place) join pgstac.%I i on i.id = u.id
     where st_dimension(i.geometry) = 2
     order by u.place', opstac.slot_partition(v_slot)) using p_items, p_tolerance;
end $$;
comment on function mosaic_outlines is
  'The footprints of these items of one organization as WKB, in degrees, with fewer points: p_tolerance in degrees. '
  'place is that in p_items.';
revoke all on function mosaic_outlines from public;

create function mosaic_means(p_org text, p_items text[], p_key text)
returns table (place bigint, names text[], bands jsonb)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select u.place, a.band_names,
         (select jsonb_agg(jsonb_build_array(b.band->'mean', b.band->'scale', b.band->'offset', b.band->'dtype')
                           order by b.n)
          from jsonb_array_elements(a.bands) with ordinality b(band, n))
  from unnest(p_items) with ordinality u(id, place)
  join item i on i.id = u.id and i.organization_id = p_org and i.deleted_at is null
             and i.lifecycle_state <> 'expired'
  -- the asset that resolve_asset gives
  cross join lateral (
    select a.band_names, a.bands, a.is_categorical from asset a
    where a.item_id = i.id and a.deleted_at is null and (a.band_count > 0 or a.href is not null)
      and (p_key is null or a.key = p_key)
    order by a.object_path is null, (a.key = 'data') desc, a.media_type !~ '^image/tiff', a.created_at, a.id
    limit 1
  ) a
  where jsonb_typeof(a.bands) = 'array' and not a.is_categorical
  order by u.place
$$;
comment on function mosaic_means is
  'Of each of these items of one organization: its bands'' names, and [mean, scale, offset, dtype] of each band, as '
  'far as they are known. place is that in p_items.';
revoke all on function mosaic_means from public;
alter function mosaic_means owner to opstac_system;
grant execute on function mosaic_means to opstac_tiler, opstac_app;

-- an owner needs the right to create where its function stands, for this moment
grant create on schema opstac to opstac_stac;
alter function mosaic_outlines owner to opstac_stac;
set local role opstac_stac;
grant execute on function mosaic_outlines to opstac_tiler, opstac_app;

create or replace function mosaic_items(
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
           from (select id, %s as covers, opstac.mosaic_box(geometry) as box
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
set local role opstac_owner;
revoke create on schema opstac from opstac_stac;
