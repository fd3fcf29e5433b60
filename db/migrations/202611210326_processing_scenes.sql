-- Jobs asked for by scenes, and items of others that a job may read.

create table scene_request (
  organization_id text not null,
  job_id text not null,
  scene_ids text[] not null,
  params jsonb not null default '{}',
  created_at timestamptz not null default now(),
  primary key (organization_id, job_id),
  foreign key (organization_id, job_id) references job (organization_id, id)
);
call protect('scene_request');
grant select, insert on scene_request to opstac_app;
comment on table scene_request is 'The scenes of a job in the words of whoever asked for it.';

create function shared_item(p_item text) returns setof item
language sql stable security definer set search_path = opstac, pg_temp as $$
  select i.* from item i where i.id = p_item and i.deleted_at is null and public_owner(p_item, null) is not null
$$;
comment on function shared_item is 'An item that is not the caller''s and that its jobs may read all the same: a public one.';

create function shared_assets(p_item text) returns setof asset
language sql stable security definer set search_path = opstac, pg_temp as $$
  select a.* from shared_item(p_item) i join asset a on a.item_id = i.id and a.deleted_at is null
$$;
comment on function shared_assets is 'The assets of a shared item.';

create function public_scenes(p_collections text[], p_scene text)
returns table (id text, stac_id text, exact boolean, created_at timestamptz)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select i.id, i.stac_id, p_scene in (i.id, i.stac_id), i.created_at
  from public_collections() c
  join item i on i.organization_id = c.organization_id and i.collection_id = c.id
  where (c.id = any (p_collections) or c.slug = any (p_collections) or c.title = any (p_collections))
    and i.deleted_at is null and i.lifecycle_state <> 'expired'
    and (starts_with(i.stac_id, p_scene) or starts_with(i.id, p_scene))
  order by 3 desc, i.created_at desc, i.id
  limit 10
$$;
comment on function public_scenes is 'Items of public collections whose id begins so; exact matches first, then the newest.';

revoke all on function shared_item, shared_assets, public_scenes from public;
alter function shared_item(text) owner to opstac_system;
alter function shared_assets(text) owner to opstac_system;
alter function public_scenes(text[], text) owner to opstac_system;
grant execute on function shared_item, shared_assets, public_scenes to opstac_app;
