-- Subscriptions as their operations need them: secrets sealed, health kept, deliveries that can be replayed.

-- ---------------------------------------------------------------- what happened when

-- Events are inserted by the last statement before the commit. The time of that statement, not of the
-- transaction's begin, says whether a subscription was there already.
alter table event alter column created_at set default clock_timestamp();

-- ---------------------------------------------------------------- subscriptions

alter table event_subscription
  drop column headers,
  add column sealed_headers bytea,
  add column header_names text[] not null default '{}',
  add column everywhere boolean not null default true,
  add column active_since timestamptz not null default clock_timestamp(),
  add column previous bytea,
  add column previous_until timestamptz,
  add column failures integer not null default 0,
  add column succeeded_at timestamptz,
  add column dead_in_row integer not null default 0,
  add column failing_since timestamptz,
  add column gone boolean not null default false,
  add column disabled_at timestamptz,
  add column disabled_reason text;
create index on event_subscription (organization_id, created_at);
create index event_subscription_hopeless on event_subscription (id) where active and (gone or dead_in_row > 0);
comment on column event_subscription.sealed_headers is 'The customer''s headers, encrypted; only their names are told.';
comment on column event_subscription.everywhere is
  'False where whoever made it sees some projects only: it is told of events in those.';
comment on column event_subscription.active_since is 'Events from before are not sent.';
comment on column event_subscription.previous is 'The secret before a rotation; it signs too until previous_until.';
comment on column event_subscription.failures is 'Attempts that failed since the last success.';
comment on column event_subscription.dead_in_row is 'Deliveries that were given up since the last success.';
comment on column event_subscription.failing_since is 'When the event happened whose delivery was the first of those.';
comment on column event_subscription.gone is 'The receiver answered 410.';

-- ---------------------------------------------------------------- deliveries

alter table delivery add column first_attempt integer not null default 0;
comment on column delivery.first_attempt is 'Attempts before it was replayed; the schedule counts from there.';

drop index delivery_sending;
create index delivery_line on delivery (coalesce(subscription_id, destination), next_at, id) where state = 'due';
create index delivery_leased on delivery (claimed_until) where state = 'due' and claimed_until is not null;
create index delivery_told on delivery (subscription_id, created_at desc) where subscription_id is not null;
grant update (state, next_at, claimed_until, error, http_status, first_attempt, delivered_at) on delivery to opstac_app;
