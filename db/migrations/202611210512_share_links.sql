-- Share links: an item or a collection for whoever has the link and its password.

create table share_link (
  id text primary key,
  organization_id text not null references organization,
  project_id text not null,
  target_type text not null check (target_type in ('item', 'collection')),
  target_id text not null,
  permission text not null check (permission in ('view', 'download')),
  token_sha256 bytea not null unique,
  password_hash text not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  tried_at timestamptz[] not null default '{}',
  access_count bigint not null default 0,
  last_accessed_at timestamptz,
  created_by uuid references app_user,
  created_at timestamptz not null default now(),
  foreign key (organization_id, project_id) references project (organization_id, id)
);
create index on share_link (organization_id, created_at desc, id);
call protect('share_link');
grant select, insert, update on share_link to opstac_app;
comment on table share_link is 'A link is found by the SHA-256 of its random token; its password is kept as argon2id.';
comment on column share_link.tried_at is 'Tries of passwords, but for those that were right: as many as count still.';

create function find_share(p_sha256 bytea, p_most integer, p_seconds integer)
returns table (
  id text, organization_id text, slot text, project_id text, target_type text, target_id text, permission text,
  password_hash text, expires_at timestamptz, locked_seconds integer
)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select l.id, l.organization_id, s.slot, l.project_id, l.target_type, l.target_id, l.permission, l.password_hash,
         l.expires_at,
         (select ceil(extract(epoch from min(t) + make_interval(secs => p_seconds) - clock_timestamp()))::integer
          from unnest(l.tried_at) as t
          where t > clock_timestamp() - make_interval(secs => p_seconds)
          having count(*) >= p_most)
  from share_link l
  join project p on p.organization_id = l.organization_id and p.id = l.project_id and p.deleted_at is null
  join organization o on o.organization_id = l.organization_id and o.deleted_at is null
  left join organization_slot s on s.organization_id = l.organization_id
  where l.token_sha256 = p_sha256 and l.revoked_at is null
$$;
comment on function find_share is
  'The live link of a token, whoever''s it is; locked_seconds where no more passwords may be tried for so long.';

create function try_share(p_id text, p_most integer, p_seconds integer) returns timestamptz
language plpgsql security definer set search_path = opstac, pg_temp as $$
declare
  -- waits for whoever tries at this moment: the count is exact however many do
  tries timestamptz[] := (select l.tried_at from share_link l where l.id = p_id for no key update);
  v_at timestamptz := clock_timestamp();
begin
  tries := array(select t from unnest(tries) as t where t > v_at - make_interval(secs => p_seconds) order by t);
  if cardinality(tries) >= p_most then
    return null;
  end if;
  update share_link set tried_at = tries || v_at where id = p_id;
  return v_at;
end $$;
comment on function try_share is
  'Count a try before the password is looked at; null where there were too many. share_opened takes it back.';

create function share_opened(p_id text, p_try timestamptz, p_counts boolean) returns void
language sql security definer set search_path = opstac, pg_temp as $$
  update share_link
  set tried_at = array_remove(tried_at, p_try),
      access_count = access_count + case when p_counts then 1 else 0 end,
      last_accessed_at = case when p_counts then clock_timestamp() else last_accessed_at end
  where id = p_id
$$;

create or replace function entity_project(p_type text, p_id text) returns text
language sql stable set search_path = opstac, pg_temp as $$
  select case p_type
    when 'item' then (select project_id from item where organization_id = opstac.org() and id = p_id)
    when 'asset' then (select i.project_id from asset a join item i on i.id = a.item_id
                       where a.organization_id = opstac.org() and a.id = p_id)
    when 'processing_job' then (select project_id from job where organization_id = opstac.org() and id = p_id)
    when 'upload' then (select project_id from upload where organization_id = opstac.org() and id = p_id)
    when 'collection' then (select project_id from collection where organization_id = opstac.org() and id = p_id)
    when 'project' then (select id from project where organization_id = opstac.org() and id = p_id)
    when 'share_link' then (select project_id from share_link where organization_id = opstac.org() and id = p_id)
  end
$$;

do $$
declare
  f text;
begin
  foreach f in array array[
    'find_share(bytea, integer, integer)', 'try_share(text, integer, integer)',
    'share_opened(text, timestamptz, boolean)'] loop
    execute format('revoke all on function %s from public', f);
    execute format('alter function %s owner to opstac_system', f);
    execute format('grant execute on function %s to opstac_app', f);
  end loop;
end $$;
