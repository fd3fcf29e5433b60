-- A deleted project gives back all that its files took in the request; the batches that remove them give back nothing.

alter table removal add column taken_bytes bigint check (taken_bytes >= 0);
comment on column removal.taken_bytes is
  'Bytes given back when it began: of a project all of them, of a collection none, whose batches give back their own. '
  'Null where an earlier version began it, which gave back more or less.';

-- Who takes a removal up has to see what is removed first: an earlier version, running beside, looks for it before it
-- does, finds none, and so gives nothing back that was given back already.
create policy counted on removal as restrictive for update to opstac_app
  using (taken_bytes is null or current_setting('opstac.removing', true) = 'on') with check (true);

create function taken_projects() returns text[]
language plpgsql stable set search_path = opstac, pg_temp as $$
begin
  return case when current_setting('opstac.removing', true) = 'on' then '{}'
              else array(select project_id from removal where collection_id is null and taken_bytes is not null) end;
end $$;
comment on function taken_projects is 'Projects that are deleted, with files left that count no more.';
revoke all on function taken_projects from public;
grant execute on function taken_projects to opstac_app;
