-- Saved searches: a name for a search, the log of what came to match it, and what is still to be
-- matched. The condition of a search becomes a function of its own, because searches, aggregations
-- and matching share it.

create function search_where(
  p_org text, p_projects text[], p_collections text[], p_ids text[], p_search jsonb
) returns text
language plpgsql stable set search_path = opstac, pgstac, public as $$
declare
  v_where text := 'true';
begin
  -- the expressions below are those of the queryables' indexes
  if p_projects is not null then
    v_where := v_where || format(
      ' and to_text(content->''properties''->''opstac:project'') = any (%L)', p_projects);
  end if;
  if p_collections is not null then
    v_where := v_where || format(
      ' and to_text(content->''properties''->''opstac:collection'') = any (%L)',
      p_collections || array(
        select c.id from opstac.collection c
        where c.organization_id = p_org and c.slug = any (p_collections) and c.deleted_at is null));
  end if;
  if p_ids is not null then
    v_where := v_where || format(
      ' and (id = any (%1$L) or to_text(content->''properties''->''opstac:stac_id'') = any (%1$L))', p_ids);
  end if;
  if p_search ?| array['bbox', 'intersects', 'datetime', 'filter'] then
    v_where := v_where || ' and (' || pgstac.stac_search_to_where(p_search) || ')';
  end if;
  return v_where;
end $$;
comment on function search_where is
  'The condition of a search on the items of one slot. p_projects: what the caller may see, null for all. '
  'p_collections and p_ids: platform ids or the names clients see. p_search: the rest, as pgstac takes it.';
revoke all on function search_where from public;
grant execute on function search_where to opstac_stac, opstac_app;

create or replace function search_items(
  p_org text, p_slot text, p_projects text[], p_collections text[], p_ids text[], p_search jsonb,
  p_limit integer, p_offset integer, p_after jsonb, p_reverse boolean, p_count integer
)
returns table (rows text, base jsonb, matched bigint, estimated boolean)
language plpgsql volatile set search_path = opstac, pgstac, public as $$
declare
  v_partition text;
  v_where text;
  v_full text;
  v_order text := 'datetime desc, id desc';
  v_plan jsonb;
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  v_partition := opstac.slot_partition(p_slot);
  v_where := opstac.search_where(p_org, p_projects, p_collections, p_ids, p_search);
  if p_reverse or p_search ? 'sortby' then
    v_order := pgstac.sort_sqlorderby(p_search, p_reverse, '{id}', array[p_slot]);
  end if;
  v_full := v_where;
  if p_after is not null then
    -- the place to go on from comes with its values, so it is found even when the item is gone
    v_full := v_where || ' and ' || pgstac.get_token_filter(
      p_search->'sortby',
      row(p_after->>'id', null, p_slot, (p_after->>'datetime')::timestamptz,
          (p_after->>'end_datetime')::timestamptz, p_after->'content', null)::pgstac.items,
      p_reverse, false, array[p_slot]);
  end if;
  execute format(
    'select ''['' || string_agg(
       ''{"id":'' || to_json(r.id) || '',"datetime":'' || to_json(r.datetime)
       || '',"end_datetime":'' || to_json(r.end_datetime)
       || '',"geometry":'' || coalesce(st_asgeojson(r.geometry, 20), ''null'')
       || '',"content":'' || r.content::text || ''}'', '','') || '']''
     from (select id, datetime, end_datetime, geometry, content
           from pgstac.%I where %s order by %s limit %s offset %s) r',
    v_partition, v_full, v_order, p_limit, p_offset) into rows;
  base := pgstac.collection_base_item(p_slot);
  if p_count is not null then
    execute format('select count(*) from (select 1 from pgstac.%I where %s limit %s) c',
                   v_partition, v_where, p_count + 1) into matched;
    estimated := matched > p_count;
    if estimated then
      execute format('explain (format json) select 1 from pgstac.%I where %s', v_partition, v_where) into v_plan;
      matched := greatest(p_count + 1, (v_plan->0->'Plan'->>'Plan Rows')::bigint);
    end if;
  end if;
  return next;
end $$;

create function match_items(
  p_org text, p_slot text, p_projects text[], p_collections text[], p_ids text[], p_search jsonb, p_among text[]
) returns setof text
language plpgsql stable set search_path = opstac, pgstac, public as $$
begin
  return query execute format(
    'select id from pgstac.%I where id = any ($1) and %s', opstac.slot_partition(p_slot),
    opstac.search_where(p_org, p_projects, p_collections, p_ids, p_search)) using p_among;
end $$;
comment on function match_items is 'Which of the items p_among (platform ids) a search finds; see search_where.';
revoke all on function match_items from public;
grant execute on function match_items to opstac_app;
grant execute on function stac_names to opstac_app;

-- what pgstac reads while it compiles a filter
set local role pgstac_admin;
grant select on pgstac.queryables, pgstac.cql2_ops, pgstac.pgstac_settings to opstac_app;
set local role opstac_owner;

-- ---------------------------------------------------------------- the searches and their logs

create table saved_search (
  id text primary key,
  organization_id text not null references organization,
  project_id text,
  name text not null,
  description text,
  search jsonb not null,
  last_seq bigint not null default 0,
  error text,
  created_by uuid references app_user,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  unique (organization_id, id),
  foreign key (organization_id, project_id) references project (organization_id, id)
);
comment on table saved_search is
  'Named searches, of a project or, where project_id is null, of the whole organization. last_seq is the number of '
  'the newest entry of its log; error says why matching could not run last time.';
create unique index saved_search_name on saved_search (organization_id, coalesce(project_id, ''), name)
  where deleted_at is null;
call protect('saved_search');
grant select, insert, update on saved_search to opstac_app;

create table saved_search_entry (
  organization_id text not null,
  search_id text not null,
  seq bigint not null,
  reason text not null check (reason in ('entered', 'changed', 'left')),
  item_id text not null,
  project_id text not null,
  event_id text not null,
  at timestamptz not null default now(),
  primary key (search_id, seq),
  unique (search_id, item_id, event_id),
  foreign key (organization_id, search_id) references saved_search (organization_id, id)
);
comment on table saved_search_entry is
  'What happened to the items of a saved search. Numbered under a lock on the search, so the numbers of one search '
  'commit in order and a reader who has seen n has seen everything up to n.';
create index on saved_search_entry (search_id, item_id, seq desc);
call protect('saved_search_entry');
grant select, insert on saved_search_entry to opstac_app;

create table saved_search_due (
  event_id text not null,
  organization_id text not null,
  item_id text not null,
  created_at timestamptz not null,
  primary key (event_id, item_id)
);
comment on table saved_search_due is
  'Events about items that the saved searches of their organization have not been compared with.';
create index on saved_search_due (organization_id, created_at);
call protect('saved_search_due');
grant select, update, delete on saved_search_due to opstac_app;
