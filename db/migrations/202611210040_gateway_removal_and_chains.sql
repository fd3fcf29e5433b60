-- Three things that must hold whoever writes: a deleted project takes nothing in, an object is removed
-- only through a row that says so, and audit months may leave only with a note of where they ended.

-- ---------------------------------------------------------------- a deleted project takes nothing in

create function project_is_live() returns trigger
language plpgsql set search_path = opstac, pg_temp as $$
declare
  v_deleted timestamptz;
begin
  -- the lock the foreign key takes too: a deletion under way is waited for, then seen
  select deleted_at into v_deleted from project
  where id = new.project_id and organization_id = new.organization_id
  for key share;
  if v_deleted is not null then
    raise exception 'project % is deleted', new.project_id using errcode = 'OP005';
  end if;
  return new;
end $$;
create trigger project_is_live before insert on collection for each row execute function project_is_live();
create trigger project_is_live before insert on item for each row execute function project_is_live();
create trigger project_is_live before insert on upload for each row execute function project_is_live();
create trigger project_is_live before insert on job for each row execute function project_is_live();
create trigger project_is_live before insert on project_member for each row execute function project_is_live();

-- ---------------------------------------------------------------- objects to be removed

create table removed_object (
  object_path text primary key,
  organization_id text not null,
  removed_at timestamptz not null default now(),
  attempts integer not null default 0
);
create index on removed_object (removed_at);
call protect('removed_object');
grant select, insert, update, delete on removed_object to opstac_app;
comment on table removed_object is
  'Objects that nothing names any more. The row is made in the transaction that let go of the object and goes '
  'when the object is gone from storage.';

-- ---------------------------------------------------------------- where dropped audit months ended

alter table chain_head
  add column audit_base_seq bigint not null default 0,
  add column audit_base_hash bytea not null default '\x00';
comment on column chain_head.audit_base_seq is 'Last audit row of the months dropped; the chain goes on after it.';

create or replace function keep_partitions(months_ahead integer default 2, keep_months integer default 25)
returns integer
language plpgsql security definer set search_path = opstac, pg_temp set lock_timeout = '200ms' as $$
declare
  parent text;
  first date;
  part text;
  old record;
  changed integer := 0;
begin
  foreach parent in array array['audit', 'event', 'delivery'] loop
    for k in 0..months_ahead loop
      first := date_trunc('month', now() at time zone 'UTC')::date + make_interval(months => k);
      part := format('%s_%s', parent, to_char(first, 'YYYYMM'));
      if to_regclass('opstac.' || part) is null then
        execute format('create table opstac.%I partition of opstac.%I for values from (%L) to (%L)',
          part, parent, first, (first + interval '1 month')::date);
        changed := changed + 1;
      end if;
    end loop;
    for old in
      select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = ('opstac.' || parent)::regclass and c.relname ~ ('^' || parent || '_\d{6}$')
        and to_date(right(c.relname, 6), 'YYYYMM') < now() - make_interval(months => keep_months)
      order by c.relname
    loop
      if parent = 'audit' then
        -- heads first, then the table: the order every writer takes them in
        execute format(
          'update opstac.chain_head h set audit_base_seq = e.seq, audit_base_hash = e.hash
           from (select distinct on (organization_id) organization_id, seq, hash from opstac.%I
                 order by organization_id, seq desc) e
           where h.organization_id = e.organization_id and h.audit_base_seq < e.seq', old.relname);
      end if;
      execute format('drop table opstac.%I', old.relname);
      changed := changed + 1;
    end loop;
  end loop;
  return changed;
end $$;

create or replace function verify_chains(p_org text)
returns table (chain text, seq bigint, problem text)
language sql stable security definer set search_path = opstac, pg_temp as $$
  with heads as (
    select c.chain, c.seq, c.hash, c.base_seq, c.base_hash
    from chain_head h
    cross join lateral (values
      ('lineage', h.lineage_seq, h.lineage_hash, 0::bigint, '\x00'::bytea),
      ('audit', h.audit_seq, h.audit_hash, h.audit_base_seq, h.audit_base_hash),
      ('ledger', h.ledger_seq, h.ledger_hash, 0::bigint, '\x00'::bytea)) as c (chain, seq, hash, base_seq, base_hash)
    where h.organization_id = p_org
  ),
  entries as (
    select e.journal_id, jsonb_agg(jsonb_build_array(e.account_id, e.amount) order by e.account_id) as entries
    from entry e join journal j on j.id = e.journal_id
    where j.organization_id = p_org
    group by e.journal_id
  ),
  rows as (
    select 'lineage' as chain, l.seq, l.prev, l.hash, link(l.prev, lineage_text(l)) as computed
    from lineage l where l.organization_id = p_org
    union all
    select 'audit', a.seq, a.prev, a.hash, link(a.prev, audit_text(a)) from audit a where a.organization_id = p_org
    union all
    select 'ledger', j.seq, j.prev, j.hash, link(j.prev, journal_text(j, coalesce(e.entries, '[]')))
    from journal j left join entries e on e.journal_id = j.id where j.organization_id = p_org
  ),
  walked as (
    select r.*, lag(r.seq) over w as before_seq, lag(r.hash) over w as before_hash, lead(r.seq) over w as after_seq
    from rows r window w as (partition by r.chain order by r.seq)
  ),
  linked as (
    select w.*, coalesce(w.before_seq, h.base_seq, 0) as from_seq, coalesce(w.before_hash, h.base_hash, '\x00') as from_hash
    from walked w left join heads h using (chain)
  )
  select l.chain, l.seq, 'the row was altered: its content does not match its hash'
  from linked l where l.hash <> l.computed
  union all
  select l.chain, l.seq,
         case when l.seq <= l.from_seq then 'a second row has this place' else 'rows are missing before this one' end
  from linked l where l.seq <> l.from_seq + 1
  union all
  select l.chain, l.seq, 'the link to the row before is broken'
  from linked l where l.seq = l.from_seq + 1 and l.prev <> l.from_hash
  union all
  select h.chain, h.seq, 'the end of the chain is missing or does not match its head'
  from heads h left join walked w on w.chain = h.chain and w.after_seq is null
  where (w.seq is null and h.seq > h.base_seq) or w.seq <> h.seq or w.hash <> h.hash
  union all
  select distinct w.chain, 0::bigint, 'the chain has no head'
  from walked w where not exists (select 1 from heads)
$$;

-- ---------------------------------------------------------------- whose a node of the lineage is

create function entity_project(p_type text, p_id text) returns text
language sql stable set search_path = opstac, pg_temp as $$
  select case p_type
    when 'item' then (select project_id from item where organization_id = opstac.org() and id = p_id)
    when 'asset' then (select i.project_id from asset a join item i on i.id = a.item_id
                       where a.organization_id = opstac.org() and a.id = p_id)
    when 'processing_job' then (select project_id from job where organization_id = opstac.org() and id = p_id)
    when 'upload' then (select project_id from upload where organization_id = opstac.org() and id = p_id)
    when 'collection' then (select project_id from collection where organization_id = opstac.org() and id = p_id)
    when 'project' then (select id from project where organization_id = opstac.org() and id = p_id)
  end
$$;
comment on function entity_project is
  'The project an entity of the bound organization belongs to, deleted ones included; null for what is not known.';
revoke all on function entity_project from public;
grant execute on function entity_project to opstac_app;
