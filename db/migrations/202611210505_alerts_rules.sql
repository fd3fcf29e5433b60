-- Alert rules, what they fired on, and the events that they have not been compared with.

create table alert_rule (
  id text primary key,
  organization_id text not null references organization,
  name text not null,
  description text,
  collection_id text,
  event_types text[] not null,
  expression text not null,
  comparison text not null check (comparison in ('lt', 'gt', 'eq', 'between')),
  threshold double precision not null,
  threshold_upper double precision,
  asset_key text not null,
  band_mapping jsonb not null default '{}',
  notification_channels text[] not null,
  cooldown_minutes integer not null check (cooldown_minutes >= 0),
  active boolean not null default true,
  created_by uuid references app_user,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  last_triggered_at timestamptz,
  deleted_at timestamptz,
  unique (organization_id, id),
  check (comparison <> 'between' or threshold_upper is not null)
);
comment on table alert_rule is
  'Rules that watch new items. collection_id is kept as given: it need not exist. last_triggered_at is when the rule '
  'fired last; the next time is cooldown_minutes later at the earliest.';
create index on alert_rule (organization_id, created_at desc, id) where deleted_at is null;
call protect('alert_rule');
grant select, insert, update on alert_rule to opstac_app;

create table alert_event (
  id text primary key,
  organization_id text not null,
  rule_id text not null,
  event_id text not null,
  item_id text not null,
  project_id text,
  collection_id text,
  rule_name text not null,
  expression text not null,
  computed_value double precision not null,
  threshold double precision not null,
  threshold_upper double precision,
  comparison text not null,
  triggered_at timestamptz not null default clock_timestamp(),
  acknowledged_at timestamptz,
  unique (rule_id, event_id),
  foreign key (organization_id, rule_id) references alert_rule (organization_id, id)
);
comment on table alert_event is
  'What rules fired on, with the rule as it was. event_id is the event about the item; a rule fires once on it.';
create index on alert_event (organization_id, triggered_at desc, id desc);
create index on alert_event (rule_id, triggered_at desc, id desc);
call protect('alert_event');
grant select, insert, update on alert_event to opstac_app;

create table alert_due (
  event_id text primary key,
  organization_id text not null,
  item_id text not null,
  event_type text not null,
  project_id text,
  collection_id text,
  happened_at timestamptz not null,
  attempts integer not null default 0,
  next_at timestamptz not null default now(),
  claimed_by text,
  claimed_until timestamptz
);
comment on table alert_due is
  'Events about items that the alert rules of their organization have not been compared with. A row goes in the '
  'transaction that makes what the rules fired, so an event is decided on once.';
create index on alert_due (next_at);
call protect('alert_due');
grant select, delete on alert_due to opstac_app;
