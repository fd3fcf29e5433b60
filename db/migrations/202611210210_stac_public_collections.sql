-- Public collections: what anybody may see, without a credential. They stay where their owner keeps them; whether one is
-- public is looked up by each request, so that marking it and taking the mark away are one row's change.

alter table collection add column public boolean not null default false;
comment on column collection.public is 'Anybody may find, draw and download what is in it, without a credential.';
create index collection_public on collection (created_at, id) where public and deleted_at is null;

create function public_collections()
returns table (
  id text, slug text, organization_id text, slot text, project_id text, title text, description text, stac jsonb,
  created_at timestamptz, updated_at timestamptz
)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select c.id,
         -- slugs are unique within an organization; among all the oldest has it, the others go by their ids
         case when row_number() over (partition by c.slug order by c.created_at, c.id) = 1 then c.slug else c.id end,
         c.organization_id, s.slot, c.project_id, c.name, c.description, c.stac, c.created_at, c.updated_at
  from collection c
  join project p on p.id = c.project_id
  join organization_slot s on s.organization_id = c.organization_id
  where c.public and c.deleted_at is null and p.deleted_at is null
$$;
comment on function public_collections is 'Every public collection with the slot its items are in, under the name it is shown by.';

create function public_owner(p_item text, p_asset text) returns text
language sql stable security definer set search_path = opstac, pg_temp as $$
  select i.organization_id
  from item i
  join collection c on c.id = i.collection_id
  join project p on p.id = c.project_id
  where i.id = coalesce(p_item, (select a.item_id from asset a where a.id = p_asset and a.deleted_at is null))
    and i.deleted_at is null and c.public and c.deleted_at is null and p.deleted_at is null
$$;
comment on function public_owner is 'Whose a public item is, by its id or by that of one of its assets; null where it is not public.';

create function search_public_items(
  p_collections text[], p_ids text[], p_search jsonb, p_limit integer, p_offset integer, p_after jsonb,
  p_reverse boolean, p_count integer
)
returns table (rows text, base jsonb, matched bigint, estimated boolean)
language plpgsql volatile set search_path = opstac, pgstac, public as $$
declare
  v_from text;
  v_slot text;
  v_where text;
  v_plan jsonb;
begin
  -- one arm for each organization that has published something: the plan grows with nothing else
  select string_agg(format(
           'select id, collection, datetime, end_datetime, geometry, content, private from pgstac.%I'
           ' where to_text(content->''properties''->''opstac:collection'') = any (%L)', '_items_' || k.key, s.ids),
           ' union all ' order by s.slot),
         min(s.slot)
    into v_from, v_slot
  from (select p.slot, array_agg(p.id) as ids from opstac.public_collections() p
        where p_collections is null or p.id = any (p_collections) or p.slug = any (p_collections)
        group by p.slot) s
  join pgstac.collections k on k.id = s.slot;
  if v_from is null then
    matched := case when p_count is not null then 0 end;
    estimated := false;
    return next;
    return;
  end if;
  v_where := opstac.search_where(null, null, null, p_ids, p_search);
  execute format(
    'select ''['' || string_agg(
       ''{"id":'' || to_json(r.id) || '',"datetime":'' || to_json(r.datetime)
       || '',"end_datetime":'' || to_json(r.end_datetime)
       || '',"geometry":'' || coalesce(st_asgeojson(r.geometry, 20), ''null'')
       || '',"content":'' || r.content::text || ''}'', '','') || '']''
     from (select id, datetime, end_datetime, geometry, content
           from (%s) items where %s and %s order by %s limit %s offset %s) r',
    v_from, v_where, case when p_after is null then 'true' else search_after(p_search, p_after, p_reverse) end,
    search_order(p_search, p_reverse), p_limit, p_offset) into rows;
  base := pgstac.collection_base_item(v_slot);
  if p_count is not null then
    execute format('select count(*) from (select 1 from (%s) items where %s limit %s) c', v_from, v_where, p_count + 1)
      into matched;
    estimated := matched > p_count;
    if estimated then
      execute format('explain (format json) select 1 from (%s) items where %s', v_from, v_where) into v_plan;
      matched := greatest(p_count + 1, (v_plan->0->'Plan'->>'Plan Rows')::bigint);
    end if;
  end if;
  return next;
end $$;
comment on function search_public_items is
  'One page of everything public, as search_items is of one organization; it reads no other rows than those of public '
  'collections.';

create function public_extents(p_ids text[])
returns table (
  id text, west float8, south float8, east float8, north float8,
  first_at timestamptz, last_at timestamptz, items bigint
)
language plpgsql stable set search_path = opstac, pgstac, public as $$
declare
  v_slot record;
begin
  for v_slot in
    select '_items_' || k.key as partition, array_agg(p.id) as ids
    from opstac.public_collections() p join pgstac.collections k on k.id = p.slot
    where p.id = any (p_ids) group by k.key
  loop
    return query execute format(
      'select collection, st_xmin(box), st_ymin(box), st_xmax(box), st_ymax(box), first_at, last_at, items
       from (select to_text(content->''properties''->''opstac:collection'') as collection,
                    st_extent(geometry) as box, min(datetime) as first_at, max(end_datetime) as last_at,
                    count(*) as items
             from pgstac.%I
             where to_text(content->''properties''->''opstac:collection'') = any ($1)
             group by 1) e', v_slot.partition) using v_slot.ids;
  end loop;
end $$;
comment on function public_extents is 'Extents of public collections.';

create function stac_collection_count(p_org text, p_projects text[]) returns bigint
language plpgsql volatile set search_path = opstac, public as $$
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  return (
    select count(*) from opstac.collection c join opstac.project p on p.id = c.project_id
    where c.deleted_at is null and p.deleted_at is null and (p_projects is null or c.project_id = any (p_projects))
  ) + (
    select count(*) from opstac.project p
    where p.deleted_at is null and (p_projects is null or p.id = any (p_projects))
      and exists (select from opstac.item i where coalesce(i.collection_id, i.project_id) = p.id and i.deleted_at is null)
  );
end $$;
comment on function stac_collection_count is 'How many collections stac_collections shows in all.';

revoke all on function public_collections, public_owner, search_public_items, public_extents, stac_collection_count
  from public;
alter function public_collections() owner to opstac_system;
alter function public_owner(text, text) owner to opstac_system;
grant execute on function public_collections, search_public_items, public_extents, stac_collection_count to opstac_stac;
grant execute on function public_owner to opstac_app, opstac_tiler;
