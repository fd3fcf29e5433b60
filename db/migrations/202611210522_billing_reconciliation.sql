-- The ledger of stored bytes, what is found wrong in it and in the ledger of credits, and what was done
-- about it. Nothing that was written is changed: a correction is a row more.

-- ---------------------------------------------------------------- stored bytes

create table storage_entry (
  id bigint generated always as identity primary key,
  organization_id text not null,
  object_path text not null,
  asset_id text,
  bytes_delta bigint not null check (bytes_delta <> 0),
  kind text not null check (kind in ('add', 'remove', 'replay', 'backfill', 'stale', 'zero', 'correction')),
  created_at timestamptz not null default clock_timestamp()
);
create index on storage_entry (organization_id, object_path);
call protect('storage_entry');
grant select, insert on storage_entry to opstac_app;
create trigger append_only before update or delete on storage_entry for each row execute function append_only();
comment on table storage_entry is 'Bytes that came and went, by object: an object of several assets is there once.';

create table tracking_failure (
  id bigint generated always as identity primary key,
  organization_id text not null,
  storage_type text not null default 'object',
  source text not null,
  object_path text not null,
  asset_id text,
  error text not null,
  attempts integer not null default 0,
  created_at timestamptz not null default clock_timestamp(),
  resolved_at timestamptz
);
create index on tracking_failure (organization_id, id) where resolved_at is null;
call protect('tracking_failure');
grant select, update on tracking_failure to opstac_app;
comment on table tracking_failure is 'Changes of stored objects that the ledger of bytes could not take; replayed until it does.';

create function track_added() returns trigger
language plpgsql security definer set search_path = opstac, pg_temp as $$
begin
  begin
    insert into storage_entry (organization_id, object_path, asset_id, bytes_delta, kind)
    select distinct on (n.organization_id, n.object_path) n.organization_id, n.object_path, n.id, n.size_bytes, 'add'
    from added n
    where n.object_path is not null and n.deleted_at is null and n.size_bytes > 0
      and coalesce((select sum(e.bytes_delta) from storage_entry e
                    where e.organization_id = n.organization_id and e.object_path = n.object_path), 0) <= 0
    order by n.organization_id, n.object_path, n.id;
  exception when others then
    insert into tracking_failure (organization_id, source, object_path, asset_id, error)
    select n.organization_id, 'asset.added', n.object_path, n.id, sqlstate || ' ' || left(sqlerrm, 500)
    from added n where n.object_path is not null and n.deleted_at is null and n.size_bytes > 0;
  end;
  return null;
end $$;

create function track_removed() returns trigger
language plpgsql security definer set search_path = opstac, pg_temp as $$
begin
  if not exists (select from before b join after a using (id)
                 where b.deleted_at is null and a.deleted_at is not null and b.object_path is not null) then
    return null;
  end if;
  begin
    insert into storage_entry (organization_id, object_path, asset_id, bytes_delta, kind)
    select g.organization_id, g.object_path, g.asset_id, -n.net, 'remove'
    from (select b.organization_id, b.object_path, min(b.id) as asset_id
          from before b join after a using (id)
          where b.deleted_at is null and a.deleted_at is not null and b.object_path is not null
          group by 1, 2) g
    cross join lateral (
      select sum(e.bytes_delta) as net from storage_entry e
      where e.organization_id = g.organization_id and e.object_path = g.object_path) n
    where n.net > 0
      and not exists (select from asset l where l.organization_id = g.organization_id
                      and l.object_path = g.object_path and l.deleted_at is null);
  exception when others then
    insert into tracking_failure (organization_id, source, object_path, asset_id, error)
    select b.organization_id, 'asset.removed', b.object_path, b.id, sqlstate || ' ' || left(sqlerrm, 500)
    from before b join after a using (id)
    where b.deleted_at is null and a.deleted_at is not null and b.object_path is not null;
  end;
  return null;
end $$;

create trigger track_added after insert on asset
  referencing new table as added for each statement execute function track_added();
create trigger track_removed after update on asset
  referencing old table as before new table as after for each statement execute function track_removed();

insert into storage_entry (organization_id, object_path, asset_id, bytes_delta, kind)
select distinct on (organization_id, object_path) organization_id, object_path, id, size_bytes, 'add'
from asset where object_path is not null and deleted_at is null and size_bytes > 0
order by organization_id, object_path, created_at, id;

create function tracking_failures()
returns table (storage_type text, source text, count bigint, oldest_at timestamptz)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select f.storage_type, f.source, count(*), min(f.created_at)
  from tracking_failure f where f.resolved_at is null group by 1, 2 order by 1, 2
$$;

create function tracking_due(p_limit integer) returns table (organization_id text, ids bigint[])
language sql stable security definer set search_path = opstac, pg_temp as $$
  select f.organization_id, array_agg(f.id order by f.id)
  from (select t.organization_id, t.id from tracking_failure t
        where t.resolved_at is null order by t.attempts, t.id limit p_limit) f
  group by 1 order by 1
$$;

-- ---------------------------------------------------------------- runs and corrections

create table reconciliation_run (
  id text primary key,
  organization_id text not null references organization,
  drift_bytes bigint not null,
  threshold_bytes bigint not null,
  fault_count integer not null,
  faults jsonb not null,
  corrected integer not null default 0,
  flagged boolean not null,
  actor text not null,
  created_at timestamptz not null default clock_timestamp()
);
create index on reconciliation_run (organization_id, created_at desc);
call protect('reconciliation_run');
grant select, insert on reconciliation_run to opstac_app;
create trigger append_only before update or delete on reconciliation_run
  for each row execute function append_only();

create table reconciliation_correction (
  id text primary key,
  organization_id text not null references organization,
  kind text not null,
  subject text,
  unit text not null check (unit in ('bytes', 'credits')),
  amount bigint not null,
  reason text not null,
  actor text not null,
  created_at timestamptz not null default clock_timestamp()
);
create index on reconciliation_correction (organization_id, created_at desc);
call protect('reconciliation_correction');
grant select, insert on reconciliation_correction to opstac_app;
create trigger append_only before update or delete on reconciliation_correction
  for each row execute function append_only();

create function reconciliation_runs(p_org text, p_flagged boolean, p_limit integer) returns setof reconciliation_run
language sql stable security definer set search_path = opstac, pg_temp as $$
  select * from reconciliation_run r
  where (p_org is null or r.organization_id = p_org) and (r.flagged or not p_flagged)
  order by r.created_at desc, r.id limit p_limit
$$;

create function reconciliation_corrections(p_org text, p_limit integer) returns setof reconciliation_correction
language sql stable security definer set search_path = opstac, pg_temp as $$
  select * from reconciliation_correction c
  where p_org is null or c.organization_id = p_org
  order by c.created_at desc, c.id limit p_limit
$$;

create function organizations_with_money() returns table (organization_id text)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select o.organization_id from organization o where o.deleted_at is null order by 1
$$;

-- ---------------------------------------------------------------- what corrects the ledger of credits

alter table account drop constraint account_kind_check;
alter table account add constraint account_kind_check
  check (kind in ('available', 'held', 'revenue', 'funding', 'grants', 'expired', 'suspense'));
insert into account (id, organization_id, kind) values ('suspense', 'platform', 'suspense');

create function balance_journals() returns table (journal_id text, amount bigint)
language sql security definer set search_path = opstac, pg_temp as $$
  -- a journal altered behind the platform's back stays as it is, and as its hash tells: the line that is
  -- missing is added against an account of its own
  insert into entry (journal_id, account_id, organization_id, amount)
  select j.id, 'suspense', j.organization_id, -sum(e.amount)
  from journal j join entry e on e.journal_id = j.id
  where j.organization_id = org()
  group by j.id
  having sum(e.amount) <> 0 and bool_and(e.account_id <> 'suspense')
  returning entry.journal_id, entry.amount
$$;

create function restore_wallet() returns table (kind text, amount bigint)
language plpgsql security definer set search_path = opstac, pg_temp as $$
begin
  perform lock_wallet();
  return query
    with truth as (
      select a.id, coalesce(sum(e.amount), 0)::bigint as total
      from account a left join entry e on e.account_id = a.id
      where a.organization_id = org() and a.balance is not null
      group by a.id)
    update account a set balance = t.total
    from (select a2.id, a2.balance as cached, t2.total from truth t2 join account a2 on a2.id = t2.id) t
    where a.id = t.id and t.cached <> t.total and t.total >= 0
    returning a.kind, t.total - t.cached;
end $$;
comment on function restore_wallet is
  'Bring the balances kept beside the ledger to the sum of its entries; which, and by how much. A sum below '
  'zero needs an entry first.';

create function repair_holds() returns table (hold_id text, problem text, amount bigint, open boolean, job_id text)
language plpgsql security definer set search_path = opstac, pg_temp as $$
begin
  return query
    delete from hold h
    where h.organization_id = org()
      and not exists (select from journal j where j.hold_id = h.id)
    returning h.id, 'it was never posted'::text, h.amount, false, h.job_id;
  return query
    update hold h
    set amount = j.amount, settled = least(h.settled, j.amount)
    from journal j
    where h.organization_id = org() and j.hold_id = h.id and j.kind = 'hold' and j.amount <> h.amount
    returning h.id, 'its amount was not the one posted'::text, j.amount, false, h.job_id;
  return query
    update hold h
    set state = case when j.kind = 'settle' then 'settled' else 'voided' end, ended_at = j.created_at,
        settled = case when j.kind = 'settle' then j.charged end
    from journal j
    where h.organization_id = org() and j.hold_id = h.id and j.kind in ('settle', 'void')
      and (h.state <> case when j.kind = 'settle' then 'settled' else 'voided' end
           or h.settled is distinct from case when j.kind = 'settle' then j.charged end)
    returning h.id, 'it had ended'::text, h.amount, false, h.job_id;
  return query
    update hold h
    set state = 'open', settled = null, ended_at = null
    where h.organization_id = org() and h.state <> 'open'
      and not exists (select from journal j where j.hold_id = h.id and j.kind in ('settle', 'void'))
    returning h.id, 'its end was never posted'::text, h.amount, true, h.job_id;
end $$;
comment on function repair_holds is
  'Bring the rows of reservations to what was posted of them; what is open again is ended by a posting.';

create function unsettled_holds(p_org text, p_limit integer)
returns table (organization_id text, hold_id text, job_id text)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select h.organization_id, h.id, h.job_id
  from hold h left join job b on b.id = h.job_id and b.organization_id = h.organization_id
  where h.state = 'open' and (p_org is null or h.organization_id = p_org)
    and (b.status in ('completed', 'failed', 'cancelled') or (b.id is null and h.expires_at < now()))
  order by h.created_at, h.id limit p_limit
$$;
comment on function unsettled_holds is 'Reservations that nobody will end: their job has ended, or there is none and their time is over.';

-- ---------------------------------------------------------------- deleted organizations

alter table organization add column purged_at timestamptz;

create function deleted_organizations(p_grace_days integer)
returns table (organization_id text, name text, slot text, deleted_at timestamptz, purge_at timestamptz)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select o.organization_id, o.name, s.slot, o.deleted_at, o.deleted_at + make_interval(days => p_grace_days)
  from organization o left join organization_slot s using (organization_id)
  where o.deleted_at is not null and o.purged_at is null
  order by o.deleted_at, o.organization_id
$$;

do $$
declare
  f regprocedure;
begin
  foreach f in array array[
    'track_added()', 'track_removed()', 'tracking_failures()', 'tracking_due(integer)',
    'reconciliation_runs(text, boolean, integer)', 'reconciliation_corrections(text, integer)',
    'organizations_with_money()', 'balance_journals()', 'restore_wallet()', 'repair_holds()',
    'unsettled_holds(text, integer)', 'deleted_organizations(integer)']::regprocedure[]
  loop
    execute format('revoke all on function %s from public', f);
    execute format('alter function %s owner to opstac_system', f);
    execute format('grant execute on function %s to opstac_app', f);
  end loop;
end $$;
grant execute on function lock_wallet to opstac_system;
