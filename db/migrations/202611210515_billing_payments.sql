-- Cards: who the provider knows an organization as, its cards, what was charged, and what needs a second yes.

create table payment_customer (
  organization_id text not null references organization,
  env text not null check (env in ('live', 'test', 'demo')),
  provider_id text not null unique,
  created_at timestamptz not null default now(),
  primary key (organization_id, env)
);
call protect('payment_customer');
grant select, insert, update on payment_customer to opstac_app;
comment on table payment_customer is 'An organization as the card provider knows it.';
comment on column payment_customer.env is 'What the provider keeps for a test key is nothing to a live one.';

create table payment_method (
  id text primary key,
  organization_id text not null references organization,
  env text not null,
  provider_id text not null,
  brand text,
  last4 text,
  exp_month integer,
  exp_year integer,
  is_default boolean not null default false,
  created_by text not null,
  created_at timestamptz not null default now(),
  detached_at timestamptz,
  unique (organization_id, id)
);
create unique index on payment_method (env, provider_id) where detached_at is null;
create unique index on payment_method (organization_id, env) where is_default and detached_at is null;
call protect('payment_method');
grant select, insert, update on payment_method to opstac_app;
comment on table payment_method is 'Saved cards: what is printed of them, never the number.';

create table approval (
  id text primary key,
  organization_id text not null references organization,
  credits bigint not null check (credits > 0),
  status text not null default 'pending' check (status in ('pending', 'approved', 'rejected', 'expired')),
  requested_by text not null,
  requested_by_user uuid,
  decided_by text,
  reason text,
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  decided_at timestamptz,
  unique (organization_id, id),
  check (status <> 'approved' or decided_by is not null)
);
create index on approval (organization_id, created_at desc);
create index on approval (expires_at) where status = 'pending';
call protect('approval');
grant select, insert, update on approval to opstac_app;
comment on column approval.requested_by_user is 'The person, also where a key of theirs asked: who may not be the second one.';

create table approval_policy (
  organization_id text primary key references organization,
  threshold_credits bigint check (threshold_credits > 0),
  second_person boolean not null default false,
  updated_by text not null,
  updated_at timestamptz not null default now()
);
call protect('approval_policy');
grant select, insert, update on approval_policy to opstac_app;
comment on table approval_policy is 'Above how many credits a purchase needs an approval; no row, no threshold.';

create table payment (
  id text primary key,
  organization_id text not null references organization,
  intent text not null unique,
  kind text not null check (kind in ('topup', 'auto', 'approval')),
  credits bigint not null check (credits > 0),
  env text not null,
  customer_id text not null,
  payment_method_id text not null,
  approval_id text,
  state text not null default 'started'
    check (state in ('started', 'requires_action', 'succeeded', 'failed', 'canceled')),
  provider_id text unique,
  attempts integer not null default 1,
  next_at timestamptz not null,
  error text,
  error_code text,
  journal_id text,
  returned_credits bigint not null default 0,
  taken_credits bigint not null default 0,
  requested_by text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  check ((state = 'succeeded') = (journal_id is not null)),
  check ((kind = 'approval') = (approval_id is not null)),
  check (returned_credits between 0 and credits and taken_credits between 0 and credits),
  foreign key (organization_id, payment_method_id) references payment_method (organization_id, id),
  foreign key (organization_id, approval_id) references approval (organization_id, id)
);
create index on payment (organization_id, created_at desc);
create index payment_due on payment (next_at)
  where state in ('started', 'requires_action') or returned_credits <> taken_credits;
-- one at a time: an organization's own top-ups of itself, and whoever approves the same request
create unique index payment_auto_alone on payment (organization_id)
  where kind = 'auto' and state in ('started', 'requires_action');
create unique index payment_approval_alone on payment (approval_id)
  where state in ('started', 'requires_action');
call protect('payment');
grant select, insert, update on payment to opstac_app;
comment on table payment is 'A card charge: written before the provider is asked, finished once whatever dies.';
comment on column payment.next_at is 'When the sweeper looks after it: the end of the lease of whoever is charging.';
comment on column payment.returned_credits is 'What refunds and disputes have taken back at the provider.';
comment on column payment.taken_credits is
  'What of that was taken from the wallet, which cannot go below zero; the rest is owed.';

-- whoever posts, and however often: the credits of a payment come once
create unique index journal_payment_posted on journal (reference_id)
  where kind = 'topup' and reference_type = 'payment';

create table auto_topup (
  organization_id text primary key references organization,
  enabled boolean not null,
  threshold_credits bigint not null check (threshold_credits > 0),
  topup_credits bigint not null check (topup_credits > 0),
  daily_cap_credits bigint check (daily_cap_credits > 0),
  failures integer not null default 0,
  next_at timestamptz not null default now(),
  disabled_reason text,
  updated_by text not null,
  updated_at timestamptz not null default now()
);
create index on auto_topup (next_at) where enabled;
call protect('auto_topup');
grant select, insert, update on auto_topup to opstac_app;

-- ---------------------------------------------------------------- credits.low

alter table account add column low_at bigint not null default 100;
comment on column account.low_at is 'credits.low is an event each time the available credits fall below it.';

create function credits_are_low() returns trigger
language plpgsql security definer set search_path = opstac, pg_temp as $$
begin
  insert into event (id, organization_id, type, entity_type, entity_id, data)
  values ('evt_' || replace(gen_random_uuid()::text, '-', ''), new.organization_id, 'credits.low', 'organization',
          new.organization_id, jsonb_build_object('project_id', null, 'available', new.balance, 'threshold', new.low_at));
  return null;
end $$;
comment on function credits_are_low is 'The event is a row of the very transaction that spent, so each fall gives one.';
create trigger credits_are_low after update of balance on account for each row
when (new.kind = 'available' and old.balance >= new.low_at and new.balance < new.low_at)
execute function credits_are_low();

create function watch_credits(p_threshold bigint) returns void
language sql security definer set search_path = opstac, pg_temp as $$
  update account set low_at = p_threshold where organization_id = org() and kind = 'available'
$$;
comment on function watch_credits is 'Set below how many available credits the bound organization gets credits.low.';

revoke all on function credits_are_low, watch_credits from public;
alter function credits_are_low() owner to opstac_system;
alter function watch_credits(bigint) owner to opstac_system;
grant execute on function watch_credits to opstac_app;
