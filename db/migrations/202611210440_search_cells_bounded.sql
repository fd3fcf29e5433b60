-- Items of too many cells stand outside of all buckets, instead of ending the whole aggregation: one item that covers
-- the world would refuse everybody else's count. And the cells of all parts of a geometry are bounded together.

create function most_cells() returns integer
language sql immutable parallel safe as $$ select 4096 $$;
comment on function most_cells is 'The most cells of a grid that one item is cut into.';

create or replace function geometry_cells(p_geometry geometry, p_grid text, p_precision integer) returns setof text
language plpgsql immutable parallel safe as $$
declare
  v_tiles boolean := p_grid = 'geotile';
  v_columns float8 := case when v_tiles then 1 << p_precision else 1 << ((5 * p_precision + 1) / 2) end;
  v_rows float8 := case when v_tiles then 1 << p_precision else 1 << (5 * p_precision / 2) end;
  v_parts geometry[] := array(select (st_dump(p_geometry)).geom);
  v_part geometry;
  v_cells bigint := 0;
  v_whole boolean := false;
  -- the first and last column and row of a part; rows of tiles go south, those of geohashes north
  c1 integer;
  c2 integer;
  r1 integer;
  r2 integer;
  v_south float8;
  v_north float8;
begin
  -- the first turn counts, the second gives; many parts in few cells are taken as one
  for v_turn in 1 .. 2 loop
    foreach v_part in array case when v_whole then array[p_geometry] else v_parts end loop
      c1 := least(floor((st_xmin(v_part) + 180) / 360 * v_columns), v_columns - 1);
      c2 := least(floor((st_xmax(v_part) + 180) / 360 * v_columns), v_columns - 1);
      if v_tiles then
        r1 := tile_row(st_ymax(v_part), p_precision);
        r2 := tile_row(st_ymin(v_part), p_precision);
      else
        r1 := least(floor((st_ymin(v_part) + 90) / 180 * v_rows), v_rows - 1);
        r2 := least(floor((st_ymax(v_part) + 90) / 180 * v_rows), v_rows - 1);
      end if;
      if v_turn = 1 then
        v_cells := v_cells + (c2 - c1 + 1)::bigint * (r2 - r1 + 1);
        exit when v_cells > most_cells();
        continue;
      end if;
      for r in r1 .. r2 loop
        v_south := case when v_tiles then tile_latitude(r + 1, p_precision) else r * 180.0 / v_rows - 90 end;
        v_north := case when v_tiles then tile_latitude(r, p_precision) else (r + 1) * 180.0 / v_rows - 90 end;
        for c in c1 .. c2 loop
          if c1 = c2 and r1 = r2
             or st_intersects(v_part, st_makeenvelope(c * 360.0 / v_columns - 180, v_south,
                                                      (c + 1) * 360.0 / v_columns - 180, v_north, 4326)) then
            return next case
              when v_tiles then p_precision || '/' || c || '/' || r
              else st_geohash(st_point((c + 0.5) * 360 / v_columns - 180, (v_south + v_north) / 2), p_precision) end;
          end if;
        end loop;
      end loop;
    end loop;
    if v_turn = 1 and v_cells > most_cells() then
      v_whole := v_columns * v_rows <= most_cells();
      if not v_whole then
        return next null;
        return;
      end if;
    end if;
  end loop;
end $$;
comment on function geometry_cells is
  'Cells of a grid (geohash or geotile) that a geometry touches, some of them more than once. One null where they are '
  'more than most_cells().';

drop function check_cells;

create or replace function aggregate_over(p_from text, p_where text, p_aggregations jsonb) returns jsonb
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
           ''buckets'', coalesce(jsonb_agg(jsonb_build_array(key, frequency) order by n) filter (where inside), ''[]''),
           ''overflow'', coalesce(sum(frequency) filter (where not inside), 0))
         from (select key, frequency, n, key is not null and n <= %1$s as inside
               from (select key, count(*) as frequency,
                            row_number() over (order by key is null, count(*) desc, key) as n
                     from (%2$s) k group by key) b) c', a ->> 'limit', aggregate_keys(a)) into v_found;
    end if;
    v_all := v_all || jsonb_build_array(v_found);
  end loop;
  return v_all;
end $$;
comment on function aggregate_over is
  'For each of p_aggregations a value, or buckets [key, frequency], the most frequent first, and how often items are in '
  'none of them.';
