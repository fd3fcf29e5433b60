-- Files of a deleted project are there until their batch, and count no more: nobody who counts sees them. The sum of
-- what a project gives back needs to know of objects that are named twice; few are, and those are in a table.

alter table asset add constraint asset_has_project check (project_id is not null) not valid;

-- coalesce: the planner would take a project out of some for a few rows
create policy counted on asset as restrictive for select to opstac_app
  using (coalesce(project_id <> all ((select taken_projects())::text[]), true));

create table shared_object (
  object_path text not null,
  project_id text not null,
  organization_id text not null,
  primary key (object_path, project_id)
);
create index on shared_object (organization_id, project_id);
call protect('shared_object');
grant select, delete on shared_object to opstac_app;
comment on table shared_object is
  'Objects that several assets came to name, by each project of these. The rows go with the object.';

create function note_shared() returns trigger
language plpgsql security definer set search_path = opstac, pg_temp as $$
declare
  v_shared text[] := array(
    select distinct n.object_path from added n
    where n.object_path is not null and n.deleted_at is null
      and exists (select from asset a
                  where a.organization_id = n.organization_id and a.object_path = n.object_path
                    and a.deleted_at is null and a.id <> n.id));
begin
  if v_shared = '{}' then
    return null;
  end if;
  -- a deletion of a project that names them is waited for: what it counts as freed is all that goes
  perform from project p
  where p.id in (select a.project_id from asset a where a.object_path = any (v_shared) and a.deleted_at is null)
  order by p.id for key share;
  if exists (
    select from asset a join project p on p.id = a.project_id
    where a.object_path = any (v_shared) and a.deleted_at is null and a.id not in (select id from added)
    group by a.object_path having bool_and(p.deleted_at is not null))
  then
    raise exception 'the project of an asset is deleted' using errcode = 'OP005';
  end if;
  insert into shared_object (object_path, project_id, organization_id)
  select distinct a.object_path, a.project_id, a.organization_id
  from asset a where a.object_path = any (v_shared) and a.deleted_at is null
  order by 1, 2
  on conflict do nothing;
  return null;
end $$;
revoke all on function note_shared from public;
alter function note_shared owner to opstac_system;
grant execute on function note_shared to opstac_app;
create trigger note_shared after insert on asset referencing new table as added
  for each statement execute function note_shared();

create function stored_objects() returns table (object_path text, asset_id text, size_bytes bigint)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select distinct on (a.object_path) a.object_path, a.id, a.size_bytes from asset a
  where a.organization_id = org() and a.deleted_at is null and a.object_path is not null
  order by a.object_path, a.created_at, a.id
$$;
comment on function stored_objects is
  'Objects of the organization that assets name, those of a deleted project too, which count no more.';
revoke all on function stored_objects from public;
alter function stored_objects owner to opstac_system;
grant execute on function stored_objects to opstac_app;
