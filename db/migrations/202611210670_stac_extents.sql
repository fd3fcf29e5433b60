-- Extents of collections were read from every document of them; six looks into indexes give the same.

-- CASE and not COALESCE: under row-level security the planner takes only conditions into an index that it knows to leak
-- nothing, and COALESCE is not among them
create function shown_in(p_collection text, p_project text) returns text immutable parallel safe language sql
return case when p_collection is null then p_project else p_collection end;

create function box_west(p_box float8[]) returns float8 immutable parallel safe language sql
return case when p_box[1] > p_box[1 + array_length(p_box, 1) / 2] then -180 else p_box[1] end;

create function box_east(p_box float8[]) returns float8 immutable parallel safe language sql
return case when p_box[1] > p_box[1 + array_length(p_box, 1) / 2] then 180 else p_box[1 + array_length(p_box, 1) / 2] end;

create function box_north(p_box float8[]) returns float8 immutable parallel safe language sql
return p_box[2 + array_length(p_box, 1) / 2];

comment on function shown_in is 'The collection that STAC shows an item in: its own, or one named after its project.';
comment on function box_west is 'West of a box of 4 or 6 numbers; one across the antimeridian goes around the world.';
comment on function box_east is 'East of a box of 4 or 6 numbers; one across the antimeridian goes around the world.';
comment on function box_north is 'North of a box of 4 or 6 numbers.';
grant execute on function shown_in, box_west, box_east, box_north to public;

create index item_west on item (shown_in(collection_id, project_id), box_west(bbox)) where deleted_at is null;
create index item_south on item (shown_in(collection_id, project_id), (bbox[2])) where deleted_at is null;
create index item_east on item (shown_in(collection_id, project_id), box_east(bbox) desc nulls last)
  where deleted_at is null;
create index item_north on item (shown_in(collection_id, project_id), box_north(bbox) desc nulls last)
  where deleted_at is null;
create index item_first on item (shown_in(collection_id, project_id), coalesce(start_datetime, datetime))
  where deleted_at is null;
create index item_last on item (shown_in(collection_id, project_id), coalesce(end_datetime, datetime) desc nulls last)
  where deleted_at is null;

-- each by the order of its index, which takes the first entry alone
create function item_extents(p_projects text[], p_ids text[])
returns table (
  id text, west float8, south float8, east float8, north float8, first_at timestamptz, last_at timestamptz
)
-- sorting all of a collection's items would be the planner's choice wherever it expects few
language sql stable set search_path = opstac, pg_temp set enable_sort = off as $$
  select e.* from (
    select c.id,
      (select box_west(bbox) from item where shown_in(collection_id, project_id) = c.id and deleted_at is null
         and (p_projects is null or project_id = any (p_projects)) order by box_west(bbox) limit 1) as west,
      (select bbox[2] from item where shown_in(collection_id, project_id) = c.id and deleted_at is null
         and (p_projects is null or project_id = any (p_projects)) order by bbox[2] limit 1) as south,
      (select box_east(bbox) from item where shown_in(collection_id, project_id) = c.id and deleted_at is null
         and (p_projects is null or project_id = any (p_projects)) order by box_east(bbox) desc nulls last limit 1) as east,
      (select box_north(bbox) from item where shown_in(collection_id, project_id) = c.id and deleted_at is null
         and (p_projects is null or project_id = any (p_projects)) order by box_north(bbox) desc nulls last limit 1) as north,
      (select coalesce(start_datetime, datetime) from item
       where shown_in(collection_id, project_id) = c.id and deleted_at is null
         and (p_projects is null or project_id = any (p_projects))
       order by coalesce(start_datetime, datetime) limit 1) as first_at,
      (select coalesce(end_datetime, datetime) from item
       where shown_in(collection_id, project_id) = c.id and deleted_at is null
         and (p_projects is null or project_id = any (p_projects))
       order by coalesce(end_datetime, datetime) desc nulls last limit 1) as last_at
    from unnest(p_ids) c(id)) e
  where coalesce(e.west, e.south) is not null or e.first_at is not null
$$;
comment on function item_extents is
  'Extents of collections, over the items that the caller may see; no row for a collection without.';
revoke all on function item_extents from public;

drop function stac_extents;
create function stac_extents(p_org text, p_projects text[], p_ids text[])
returns table (
  id text, west float8, south float8, east float8, north float8, first_at timestamptz, last_at timestamptz
)
language plpgsql volatile set search_path = opstac, public as $$
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  return query select * from opstac.item_extents(p_projects, p_ids);
end $$;
comment on function stac_extents is 'Extents of collections, over the items that the caller may see.';
revoke all on function stac_extents from public;
grant execute on function stac_extents, item_extents to opstac_stac;

drop function public_extents;
create function public_extents(p_ids text[])
returns table (
  id text, west float8, south float8, east float8, north float8, first_at timestamptz, last_at timestamptz
)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select e.* from opstac.item_extents(null, array(
    select p.id from opstac.public_collections() p where p.id = any (p_ids))) e
$$;
comment on function public_extents is 'Extents of public collections.';
revoke all on function public_extents from public;
grant execute on function item_extents to opstac_system;
alter function public_extents owner to opstac_system;
grant execute on function public_extents to opstac_stac;
