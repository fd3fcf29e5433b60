-- Money, idempotency, lineage, audit, events: what the kernel writes around every operation.

create function append_only() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'OP002';
end $$;

-- ---------------------------------------------------------------- ledger

create table account (
  id text primary key,
  organization_id text not null,
  kind text not null check (kind in ('available', 'held', 'revenue', 'funding', 'grants', 'expired')),
  balance bigint,
  unique (organization_id, kind),
  -- a wallet's balance is cached here and can never go below zero; platform accounts are summed
  constraint account_is_wallet check ((kind in ('available', 'held')) = (balance is not null)),
  constraint account_balance_not_negative check (balance >= 0)
);
call protect('account');
grant select on account to opstac_app;
insert into account (id, organization_id, kind) values
  ('revenue', 'platform', 'revenue'), ('funding', 'platform', 'funding'),
  ('grants', 'platform', 'grants'), ('expired', 'platform', 'expired');

create table hold (
  id text primary key,
  organization_id text not null,
  amount bigint not null check (amount > 0),
  state text not null default 'open' check (state in ('open', 'settled', 'voided')),
  settled bigint check (settled between 0 and amount),
  job_id text,
  expires_at timestamptz,
  created_at timestamptz not null default now(),
  ended_at timestamptz,
  check ((state = 'open') = (ended_at is null)),
  check ((state = 'settled') = (settled is not null))
);
create index on hold (expires_at) where state = 'open';
call protect('hold');
grant select on hold to opstac_app;

create table journal (
  id text primary key,
  organization_id text not null,
  kind text not null
    check (kind in ('grant', 'topup', 'hold', 'settle', 'void', 'refund', 'correction', 'expiry')),
  hold_id text references hold,
  amount bigint not null,
  charged bigint not null default 0,
  available_after bigint not null,
  held_after bigint not null,
  reference_type text,
  reference_id text,
  description text,
  actor text not null,
  invocation_id text not null,
  created_at timestamptz not null default clock_timestamp(),
  seq bigint not null,
  prev bytea not null,
  hash bytea not null,
  unique (organization_id, seq)
);
-- opened once, ended once
create unique index journal_hold_opened on journal (hold_id) where kind = 'hold';
create unique index journal_hold_ended on journal (hold_id) where kind in ('settle', 'void');
create index on journal (organization_id, created_at desc, id);
call protect('journal');
grant select on journal to opstac_app;
create trigger append_only before update or delete on journal for each row execute function append_only();

create table entry (
  journal_id text not null references journal,
  account_id text not null references account,
  organization_id text not null,
  amount bigint not null check (amount <> 0 and abs(amount) <= 1000000000000),
  primary key (journal_id, account_id)
);
create index on entry (account_id);
call protect('entry');
grant select on entry to opstac_app;
create trigger append_only before update or delete on entry for each row execute function append_only();

create function journal_is_balanced() returns trigger language plpgsql as $$
declare
  total numeric;
  lines integer;
begin
  select coalesce(sum(amount), 0), count(*) into total, lines from opstac.entry where journal_id = new.id;
  if total <> 0 or lines < 2 then
    raise exception 'journal % is not balanced: % lines sum to %', new.id, lines, total using errcode = 'OP003';
  end if;
  return null;
end $$;
create constraint trigger journal_is_balanced after insert on journal
  deferrable initially deferred for each row execute function journal_is_balanced();

create function entry_is_balanced() returns trigger language plpgsql as $$
begin
  if (select sum(amount) from opstac.entry where journal_id = new.journal_id) <> 0 then
    raise exception 'journal % is not balanced', new.journal_id using errcode = 'OP003';
  end if;
  return null;
end $$;
create constraint trigger entry_is_balanced after insert on entry
  deferrable initially deferred for each row execute function entry_is_balanced();

-- ---------------------------------------------------------------- idempotency

create table idempotency_key (
  organization_id text not null,
  operation text not null,
  key text not null,
  fingerprint bytea not null,
  state text not null default 'done' check (state in ('running', 'done')),
  intent_id text,
  lease_until timestamptz,
  status integer,
  content_type text,
  body bytea,
  encrypted boolean not null default false,
  project_id text,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null default now() + interval '24 hours',
  primary key (organization_id, operation, key)
);
create index on idempotency_key (expires_at);
call protect('idempotency_key');
grant select, insert, update, delete on idempotency_key to opstac_app;

-- ---------------------------------------------------------------- lineage and audit, hash-chained

create table chain_head (
  organization_id text primary key,
  lineage_seq bigint not null default 0,
  lineage_hash bytea not null default '\x00',
  audit_seq bigint not null default 0,
  audit_hash bytea not null default '\x00',
  ledger_seq bigint not null default 0,
  ledger_hash bytea not null default '\x00',
  updated_at timestamptz not null default now()
) with (fillfactor = 50);
comment on table chain_head is 'The end of each of an organization''s three chains; locked last in every transaction.';
call protect('chain_head');
grant select on chain_head to opstac_app;

create table lineage (
  organization_id text not null,
  seq bigint not null,
  src_type text not null,
  src_id text not null,
  relation text not null check (relation in ('derived_from', 'generated_by', 'used', 'part_of', 'exports')),
  dst_type text not null,
  dst_id text not null,
  invocation_id text not null,
  operation text not null,
  at timestamptz not null,
  prev bytea not null,
  hash bytea not null,
  primary key (organization_id, seq)
);
create index on lineage (organization_id, src_type, src_id);
create index on lineage (organization_id, dst_type, dst_id);
call protect('lineage');
grant select on lineage to opstac_app;
create trigger append_only before update or delete on lineage for each row execute function append_only();
comment on table lineage is 'src is the derived thing, dst what it came from.';

create table audit (
  organization_id text not null,
  seq bigint not null,
  at timestamptz not null,
  request_id text,
  invocation_id text not null,
  operation text not null,
  principal_kind text not null,
  principal_id text not null,
  outcome text not null check (outcome in ('ok', 'denied', 'failed')),
  status integer not null,
  entities jsonb not null default '[]',
  detail text,
  prev bytea not null,
  hash bytea not null,
  primary key (organization_id, at, seq)
) partition by range (at);
create index on audit (organization_id, seq);
create table audit_default partition of audit default;
call protect('audit');
grant select on audit to opstac_app;
create trigger append_only before update or delete on audit for each row execute function append_only();

-- ---------------------------------------------------------------- events and deliveries

create table event (
  id text not null,
  organization_id text not null,
  type text not null,
  entity_type text not null,
  entity_id text not null,
  project_id text,
  data jsonb not null default '{}',
  created_at timestamptz not null default now(),
  relayed_at timestamptz,
  primary key (id, created_at)
) partition by range (created_at);
create index event_unrelayed on event (created_at) where relayed_at is null;
create index on event (organization_id, created_at);
create table event_default partition of event default;
call protect('event');
grant select on event to opstac_app;

create table event_subscription (
  id text primary key,
  organization_id text not null references organization,
  event_type text not null,
  endpoint_url text not null,
  filter_config jsonb not null default '{}',
  headers jsonb not null default '{}',
  secret bytea not null,
  description text,
  active boolean not null default true,
  created_by uuid references app_user,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
call protect('event_subscription');
grant select, insert, update, delete on event_subscription to opstac_app;

create table delivery (
  id text not null,
  organization_id text not null,
  event_id text not null,
  subscription_id text not null,
  state text not null default 'due' check (state in ('due', 'delivered', 'dead')),
  attempts integer not null default 0,
  next_at timestamptz not null default now(),
  claimed_until timestamptz,
  http_status integer,
  error text,
  created_at timestamptz not null default now(),
  delivered_at timestamptz,
  primary key (id, created_at)
) partition by range (created_at);
create index delivery_due on delivery (next_at) where state = 'due';
create table delivery_default partition of delivery default;
call protect('delivery');
grant select on delivery to opstac_app;

create function keep_partitions(months_ahead integer default 2, keep_months integer default 25) returns integer
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
    loop
      execute format('drop table opstac.%I', old.relname);
      changed := changed + 1;
    end loop;
  end loop;
  return changed;
end $$;
comment on function keep_partitions is
  'Make the months ahead, drop the months past keeping; run by `opstac migrate` and the maintenance loop, '
  'never by an operation.';
revoke all on function keep_partitions from public;
grant execute on function keep_partitions to opstac_system;
select keep_partitions();
