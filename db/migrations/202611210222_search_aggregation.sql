-- Aggregations: one query each over what a search finds, on the items of one slot.

create function item_centroid(p_geometry geometry, p_bbox jsonb) returns geometry
language sql immutable parallel safe set search_path = opstac, public as $$
  select case
    when st_isempty(p_geometry) then null
    -- west of its box lies east of its east: it goes across 180 degrees, so its middle does too
    when jsonb_typeof(p_bbox) = 'array' and jsonb_array_length(p_bbox) = 4
         and (p_bbox -> 0)::float8 > (p_bbox -> 2)::float8
      then (select st_point(case when st_x(c) > 180 then st_x(c) - 360 else st_x(c) end, st_y(c))
            from st_centroid(st_shiftlongitude(p_geometry)) c)
    else st_centroid(p_geometry) end
$$;

create function tile_of(p_longitude float8, p_latitude float8, p_zoom integer, out x integer, out y integer)
language sql immutable parallel safe as $$
  select least(greatest(floor((p_longitude + 180) / 360 * (1 << p_zoom)), 0), (1 << p_zoom) - 1)::integer,
         case when p_latitude >= 85.0511287798066 then 0 when p_latitude <= -85.0511287798066 then (1 << p_zoom) - 1
              else least(greatest(floor((1 - asinh(tan(radians(p_latitude))) / pi()) / 2 * (1 << p_zoom)), 0),
                         (1 << p_zoom) - 1)::integer end
$$;
comment on function tile_of is 'Tile of WebMercatorQuad that a place is in; the poles are in the outermost rows.';

create function tile_latitude(p_y integer, p_zoom integer) returns float8
language sql immutable parallel safe as $$
  select case when p_y <= 0 then 90 when p_y >= 1 << p_zoom then -90
              else degrees(atan(sinh(pi() * (1 - 2 * p_y::float8 / (1 << p_zoom))))) end
$$;
comment on function tile_latitude is 'North edge of a row of tiles; the outermost rows reach to the poles.';

create function geometry_cells(p_geometry geometry, p_grid text, p_precision integer) returns setof text
language plpgsql immutable parallel safe set search_path = opstac, public as $$
declare
  v_part geometry;
  v_columns integer;
  v_rows integer;
  v_first record;
  v_last record;
begin
  if p_grid = 'geotile' then
    for v_part in select (st_dump(p_geometry)).geom loop
      select * into v_first from tile_of(st_xmin(v_part), st_ymax(v_part), p_precision);
      select * into v_last from tile_of(st_xmax(v_part), st_ymin(v_part), p_precision);
      perform check_cells(v_last.x - v_first.x + 1, v_last.y - v_first.y + 1, p_precision);
      return query
        select p_precision || '/' || x || '/' || y
        from generate_series(v_first.x, v_last.x) x, generate_series(v_first.y, v_last.y) y
        where st_intersects(v_part, st_makeenvelope(
          x * 360.0 / (1 << p_precision) - 180, tile_latitude(y + 1, p_precision),
          (x + 1) * 360.0 / (1 << p_precision) - 180, tile_latitude(y, p_precision), 4326));
    end loop;
    return;
  end if;
  v_columns := 1 << ((5 * p_precision + 1) / 2);
  v_rows := 1 << (5 * p_precision / 2);
  for v_part in select (st_dump(p_geometry)).geom loop
    select least(floor((st_xmin(v_part) + 180) / 360 * v_columns), v_columns - 1)::integer as x,
           least(floor((st_ymin(v_part) + 90) / 180 * v_rows), v_rows - 1)::integer as y into v_first;
    select least(floor((st_xmax(v_part) + 180) / 360 * v_columns), v_columns - 1)::integer as x,
           least(floor((st_ymax(v_part) + 90) / 180 * v_rows), v_rows - 1)::integer as y into v_last;
    perform check_cells(v_last.x - v_first.x + 1, v_last.y - v_first.y + 1, p_precision);
    return query
      select st_geohash(st_point((x + 0.5) * 360 / v_columns - 180, (y + 0.5) * 180 / v_rows - 90), p_precision)
      from generate_series(v_first.x, v_last.x) x, generate_series(v_first.y, v_last.y) y
      where st_intersects(v_part, st_makeenvelope(
        x * 360.0 / v_columns - 180, y * 180.0 / v_rows - 90,
        (x + 1) * 360.0 / v_columns - 180, (y + 1) * 180.0 / v_rows - 90, 4326));
  end loop;
end $$;
comment on function geometry_cells is 'Cells of a grid (geohash or geotile) that a geometry touches, once for each of its parts.';

create function check_cells(p_columns integer, p_rows integer, p_precision integer) returns void
language plpgsql immutable parallel safe as $$
begin
  if p_columns::bigint * p_rows > 4096 then
    raise exception 'precision % cuts an item into more than 4096 cells; take a lower one', p_precision;
  end if;
end $$;

create function aggregate_keys(p jsonb) returns text
language plpgsql immutable set search_path = opstac, pgstac, public as $$
declare
  v_kind text := p ->> 'kind';
  v_value text := format('nullif(%s, ''null'')', cql2_path(coalesce(p ->> 'property', 'none')));
  v_point text := 'item_centroid(geometry, content -> ''bbox'')';
begin
  return case
    when v_kind = 'collection' then
      $q$select to_jsonb(to_text(content->'properties'->'opstac:collection')) as key from items$q$
    when v_kind = 'interval' then format(
      'select to_jsonb(to_char(date_trunc(%L, datetime, ''UTC'') at time zone ''UTC'', ''YYYY-MM-DD"T"HH24:MI:SS"Z"''))'
      ' as key from items', p ->> 'by')
    when v_kind = 'terms' then format(
      'select distinct on (id, k.key) k.key from items cross join lateral (select case jsonb_typeof(%1$s)'
      ' when ''array'' then %1$s when ''object'' then ''[]'' else jsonb_build_array(%1$s) end as list) l'
      ' cross join lateral jsonb_array_elements(l.list) k (key)'
      ' where jsonb_typeof(k.key) in (''string'', ''number'', ''boolean'')', v_value)
    when v_kind = 'ranges' then format(
      -- 0 is below the first edge and the number of edges above the last, which belongs to the last range
      'select to_jsonb(case when v.value = %3$s then %4$s else width_bucket(v.value, %1$L::float8[]) end) as key'
      ' from items cross join lateral (select %2$s as value) v where v.value is not null',
      array(select jsonb_array_elements_text(p -> 'edges')),
      cql2_value(jsonb_build_object('property', p ->> 'property'), 'number'),
      p -> 'edges' -> -1, jsonb_array_length(p -> 'edges') - 1)
    when v_kind = 'cells' and p ->> 'of' = 'geometry' then format(
      'select distinct on (id, c.key) to_jsonb(c.key) as key from items cross join lateral'
      ' geometry_cells(geometry, %L, %s) c (key)', p ->> 'grid', p ->> 'precision')
    when p ->> 'grid' = 'geohash' then format(
      'select to_jsonb(st_geohash(c.point, %s)) as key from items'
      ' cross join lateral (select %s as point) c where c.point is not null', p ->> 'precision', v_point)
    else format(
      'select to_jsonb(%1$s || ''/'' || t.x || ''/'' || t.y) as key from items'
      ' cross join lateral (select %2$s as point) c cross join lateral tile_of(st_x(c.point), st_y(c.point), %1$s) t'
      ' where c.point is not null', p ->> 'precision', v_point)
  end;
end $$;
comment on function aggregate_keys is 'SQL for the bucket of each item, from a relation named items.';

create function aggregate_over(p_from text, p_where text, p_aggregations jsonb) returns jsonb
language plpgsql stable set search_path = opstac, pgstac, public as $$
declare
  a jsonb;
  v_found jsonb;
  v_all jsonb := '[]';
  v_items text := format('with items as (select id, datetime, end_datetime, geometry, content from %s where %s) ',
                         p_from, p_where);
begin
  for a in select value from jsonb_array_elements(p_aggregations) loop
    if a ->> 'kind' = 'count' then
      execute v_items || 'select jsonb_build_object(''value'', count(*)) from items' into v_found;
    elsif a ->> 'kind' = 'min' then
      execute v_items || 'select jsonb_build_object(''value'', min(datetime)) from items' into v_found;
    elsif a ->> 'kind' = 'max' then
      execute v_items || 'select jsonb_build_object(''value'', max(datetime)) from items' into v_found;
    else
      execute v_items || format(
        'select jsonb_build_object(
           ''buckets'', coalesce(jsonb_agg(jsonb_build_array(key, frequency) order by n) filter (where n <= %1$s), ''[]''),
           ''overflow'', coalesce(sum(frequency) filter (where n > %1$s), 0))
         from (select key, count(*) as frequency, row_number() over (order by count(*) desc, key) as n
               from (%2$s) k group by key) b', a ->> 'limit', aggregate_keys(a)) into v_found;
    end if;
    v_all := v_all || jsonb_build_array(v_found);
  end loop;
  return v_all;
end $$;
comment on function aggregate_over is
  'For each of p_aggregations a value, or buckets [key, frequency], the most frequent first, and what is in no bucket.';

create function aggregate_items(
  p_org text, p_slot text, p_projects text[], p_collections text[], p_ids text[], p_search jsonb, p_aggregations jsonb
) returns jsonb
language plpgsql volatile set search_path = opstac, pgstac, public as $$
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  return aggregate_over(
    format('pgstac.%I', opstac.slot_partition(p_slot)),
    opstac.search_where(p_org, p_projects, p_collections, p_ids, p_search), p_aggregations);
end $$;
comment on function aggregate_items is 'Aggregations over what search_items finds with the same parameters.';
revoke all on function aggregate_items, aggregate_over from public;
grant execute on function aggregate_items, aggregate_over to opstac_stac;
