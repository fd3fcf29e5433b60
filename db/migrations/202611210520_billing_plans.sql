-- Prices, plans and thresholds are rows with a time. A row holds from `valid_from` until the next one of
-- its name, or until `valid_until`; what was in force once is never changed, so that it can be asked for.

create table platform_operator (
  user_id uuid primary key references app_user,
  created_at timestamptz not null default now()
);
comment on table platform_operator is 'People who run the platform: they may call what needs admin:*.';
grant select, insert, delete on platform_operator to opstac_system;

create function is_operator(p_user uuid) returns boolean
language sql stable security definer set search_path = opstac, pg_temp as $$
  select exists (select from platform_operator where user_id = p_user)
$$;

-- ---------------------------------------------------------------- rows with a time

create function begin_dated() returns trigger language plpgsql as $$
declare
  name text := tg_argv[0];
  subject text := to_jsonb(new) ->> name;
  following timestamptz;
  resumed jsonb;
begin
  if new.valid_from < now() then
    raise exception '%: % would begin before now, and the past is not rewritten', tg_table_name, subject
      using errcode = 'OP012';
  end if;
  -- changes of one name follow each other
  perform pg_advisory_xact_lock(hashtextextended(tg_table_name || '/' || subject, 0));
  -- where this is for a while, what it interrupts goes on after it
  if new.valid_until is not null then
    execute format(
      'select to_jsonb(t) from opstac.%I t where t.%I = $1 and t.valid_from < $2'
      ' and (t.valid_until is null or t.valid_until > $3)', tg_table_name, name)
      into resumed using subject, new.valid_from, new.valid_until;
  end if;
  execute format(
    'update opstac.%I set valid_until = $2 where %I = $1 and valid_from < $2'
    ' and (valid_until is null or valid_until > $2)', tg_table_name, name)
    using subject, new.valid_from;
  if resumed is not null then
    execute format('insert into opstac.%I select (jsonb_populate_record(null::opstac.%I, $1)).*',
                   tg_table_name, tg_table_name)
      using resumed || jsonb_build_object('valid_from', new.valid_until);
  elsif new.valid_until is null then
    execute format('select min(valid_from) from opstac.%I where %I = $1 and valid_from > $2', tg_table_name, name)
      into following using subject, new.valid_from;
    new.valid_until := following;
  end if;
  return new;
end $$;
comment on function begin_dated is
  'A new row ends the one in force; with a valid_until of its own it interrupts it. Argument: the column of the name.';

create function keep_dated() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    if old.valid_from <= now() then
      raise exception '% is kept: it was in force', tg_table_name using errcode = 'OP002';
    end if;
    return old;
  end if;
  if to_jsonb(new) - 'valid_until' <> to_jsonb(old) - 'valid_until'
     or coalesce(old.valid_until, 'infinity') < now() or coalesce(new.valid_until, 'infinity') < now() then
    raise exception '% is kept: only the end of what is in force can be set', tg_table_name using errcode = 'OP002';
  end if;
  return new;
end $$;

create procedure dated(target regclass, name text)
language plpgsql as $$
begin
  execute format(
    'alter table %s add check (valid_until > valid_from),'
    ' add exclude using gist (%I with =, tstzrange(valid_from, valid_until) with &&)', target, name);
  execute format('create trigger begin_dated before insert on %s for each row execute function begin_dated(%L)',
                 target, name);
  execute format('create trigger keep_dated before update or delete on %s for each row execute function keep_dated()',
                 target);
end $$;
comment on procedure dated is 'Make rows of a table hold one after the other by name; called by its migration.';

-- ---------------------------------------------------------------- prices

alter table price add column valid_until timestamptz;
update price p set valid_until = (
  select min(n.valid_from) from price n where n.subject = p.subject and n.valid_from > p.valid_from);
alter table price alter column valid_from set default now();
call dated('price', 'subject');
grant insert, update, delete on price to opstac_system;
comment on table price is 'What a process costs, by date; in place of the price that it declares. Not a tenant table.';

-- ---------------------------------------------------------------- plans

create table plan (
  id text not null check (id ~ '^[a-z][a-z0-9_-]{0,39}$'),
  name text not null,
  description text not null default '',
  currency text not null default 'AUD' check (currency ~ '^[A-Z]{3}$'),
  monthly_fee_cents bigint not null default 0 check (monthly_fee_cents between 0 and 1000000000000),
  monthly_credits bigint not null default 0 check (monthly_credits between 0 and 1000000000000),
  credit_months integer check (credit_months between 1 and 1200),
  credit_line bigint not null default 0 check (credit_line between 0 and 1000000000000),
  needs_approval boolean not null default false,
  limits jsonb not null default '{}',
  features jsonb not null default '[]',
  valid_from timestamptz not null default now(),
  valid_until timestamptz,
  primary key (id, valid_from)
);
comment on table plan is 'What an organization may take, by date. Not a tenant table.';
comment on column plan.credit_months is 'How many months a month''s credits are good for; null: they do not expire.';
comment on column plan.credit_line is 'More than 0: paid afterwards. So many credits may be used before an invoice.';
insert into plan (id, name, description, monthly_credits, credit_months, needs_approval, limits, valid_from) values
  ('free', 'Free', 'To try things out; admitted by the operator.', 500, 1, true,
   '{"storage_bytes": 10737418240}', '2026-01-01Z'),
  ('payg', 'Pay as you go', 'Credits are bought as they are needed.', 0, null, false, '{}', '2026-01-01Z');
insert into plan (id, name, description, monthly_fee_cents, monthly_credits, credit_months, limits, valid_from)
  values ('team', 'Team', 'A fee a month, with credits in it that are good for three months.', 9900, 12000, 3,
          '{"storage_bytes": 1099511627776}', '2026-01-01Z');
insert into plan (id, name, description, credit_line, limits, features, valid_from)
  values ('enterprise', 'Enterprise', 'Used first and paid by invoice.', 1000000, '{}', '["invoice"]', '2026-01-01Z');
call dated('plan', 'id');
grant select on plan to opstac_app;
grant select, insert, update, delete on plan to opstac_system;

create table organization_plan (
  organization_id text not null references organization,
  plan_id text not null,
  assigned_by text not null,
  valid_from timestamptz not null default now(),
  valid_until timestamptz,
  primary key (organization_id, valid_from)
);
comment on table organization_plan is 'Which plan an organization is on; without a row, the free one.';
call dated('organization_plan', 'organization_id');
call protect('organization_plan');
grant select, insert, update on organization_plan to opstac_app;

-- ---------------------------------------------------------------- thresholds

create table threshold (
  name text not null check (name ~ '^[a-z][a-z0-9_]{0,59}$'),
  value bigint not null,
  unit text not null,
  meaning text not null,
  valid_from timestamptz not null default now(),
  valid_until timestamptz,
  primary key (name, valid_from)
);
comment on table threshold is 'Numbers that money is reckoned by, by date. Not a tenant table.';
insert into threshold (name, value, unit, meaning, valid_from) values
  ('tax_basis_points', 1000, 'basis points', 'Goods and services tax on what an invoice charges.', '2026-01-01Z'),
  ('deletion_grace_days', 30, 'days', 'From the deletion of an organization until its data is purged.',
   '2026-01-01Z');
call dated('threshold', 'name');
grant select on threshold to opstac_app;
grant select, insert, update, delete on threshold to opstac_system;

-- ---------------------------------------------------------------- the free tier, and credits that were given

create table free_tier (
  organization_id text primary key references organization,
  state text not null check (state in ('approved', 'revoked')),
  decided_by text not null,
  decided_at timestamptz not null default now()
);
comment on table free_tier is 'The operator''s word on an organization; without a row it waits for one.';
call protect('free_tier');
grant select, insert, update on free_tier to opstac_app;

create table credit_lot (
  journal_id text primary key references journal deferrable initially deferred,
  organization_id text not null,
  source text not null check (source in ('monthly', 'line')),
  period date not null,
  plan_id text not null,
  credits bigint not null check (credits > 0),
  expired bigint not null default 0 check (expired between 0 and credits),
  granted_at timestamptz not null,
  expires_at timestamptz,
  unique (organization_id, source, period)
);
comment on table credit_lot is 'Credits given by a plan: once a month, or once as a line of credit.';
comment on column credit_lot.period is 'First day of the month they are for; of a line, the day it was given.';
call protect('credit_lot');
grant select, insert on credit_lot to opstac_app;
grant update (expired) on credit_lot to opstac_app;

create function free_tier_organizations(p_state text)
returns table (organization_id text, name text, created_at timestamptz, state text, decided_at timestamptz)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select o.organization_id, o.name, o.created_at, coalesce(f.state, 'pending'), f.decided_at
  from organization o left join free_tier f using (organization_id)
  where o.deleted_at is null and coalesce(f.state, 'pending') = p_state
    and coalesce((select p.plan_id from organization_plan p
                  where p.organization_id = o.organization_id and p.valid_from <= now()
                    and (p.valid_until is null or p.valid_until > now())), 'free') = 'free'
  order by o.created_at, o.organization_id
$$;
comment on function free_tier_organizations is
  'Organizations on the free plan by what was said of them: pending, approved or revoked.';

revoke all on function is_operator, free_tier_organizations from public;
alter function is_operator owner to opstac_system;
alter function free_tier_organizations owner to opstac_system;
grant execute on function is_operator to opstac_app, opstac_tiler;
grant execute on function free_tier_organizations to opstac_app;
