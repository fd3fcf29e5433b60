-- The platform's own tables: tenancy, catalogue, uploads, jobs. Money, records and events follow in
-- the next files. Every table with organization_id is protected by protect(): row-level security
-- that holds for its owner too.

create function org() returns text
language plpgsql stable parallel safe as $$
declare
  bound text := current_setting('opstac.org', true);
begin
  -- a reused session reads '' where nothing was bound; both must fail, never match no row silently
  if bound is null or bound = '' then
    raise exception 'no organization is bound to this transaction' using errcode = 'OP001';
  end if;
  return bound;
end $$;
comment on function org() is 'The organization this transaction acts for; raises where none is bound.';

create procedure protect(target regclass)
language plpgsql as $$
begin
  execute format('alter table %s enable row level security', target);
  execute format('alter table %s force row level security', target);
  execute format(
    'create policy tenant on %s to opstac_app, opstac_stac'
    ' using (organization_id = opstac.org()) with check (organization_id = opstac.org())', target);
  execute format('create policy platform on %s to opstac_system using (true) with check (true)', target);
  execute format('grant select, insert, update, delete on %s to opstac_system', target);
end $$;
comment on procedure protect is 'Row-level security for a tenant table; called by the migration that makes it.';

-- ---------------------------------------------------------------- organizations and people

create table app_user (
  id uuid primary key default gen_random_uuid(),
  email text unique,
  name text,
  disabled_at timestamptz,
  created_at timestamptz not null default now()
);
comment on table app_user is 'Human users. Not a tenant table: a person belongs to at most one organization at a time.';
grant select, insert, update on app_user to opstac_system;

create table organization (
  organization_id text primary key,
  name text not null,
  slug text not null unique,
  details jsonb not null default '{}',
  enterprise_billing boolean not null default false,
  storage_quota_bytes bigint not null default 1099511627776 check (storage_quota_bytes >= 0),
  storage_used_bytes bigint not null default 0 check (storage_used_bytes >= 0),
  storage_reserved_bytes bigint not null default 0 check (storage_reserved_bytes >= 0),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  constraint organization_storage_quota check (storage_used_bytes + storage_reserved_bytes <= storage_quota_bytes)
);
call protect('organization');
grant select, insert, update on organization to opstac_app;

create table organization_slot (
  slot text primary key,
  organization_id text unique references organization,
  taken_at timestamptz,
  public boolean not null default false
);
comment on table organization_slot is
  'pgstac collections made ahead; one belongs to each organization, one holds public data. '
  'organization_id is null while the slot is free, so the table is reached through take_slot().';
alter table organization_slot enable row level security;
alter table organization_slot force row level security;
create policy tenant on organization_slot to opstac_app, opstac_stac using (organization_id = opstac.org());
create policy platform on organization_slot to opstac_system using (true) with check (true);
grant select on organization_slot to opstac_app;
grant select, insert, update on organization_slot to opstac_system;

create table organization_member (
  organization_id text not null references organization,
  user_id uuid not null references app_user,
  role text not null check (role in ('owner', 'admin', 'member', 'billing', 'viewer')),
  created_at timestamptz not null default now(),
  primary key (organization_id, user_id),
  unique (user_id)
);
call protect('organization_member');
grant select, insert, update, delete on organization_member to opstac_app;

create table project (
  id text primary key,
  organization_id text not null references organization,
  name text not null,
  description text,
  gcs_region text,
  is_archived boolean not null default false,
  created_by uuid references app_user,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  unique (organization_id, id)
);
create index on project (organization_id, created_at desc) where deleted_at is null;
call protect('project');
grant select, insert, update on project to opstac_app;

create table project_member (
  organization_id text not null,
  project_id text not null,
  user_id uuid not null references app_user,
  role text not null check (role in ('owner', 'admin', 'editor', 'viewer')),
  added_by uuid references app_user,
  created_at timestamptz not null default now(),
  primary key (project_id, user_id),
  foreign key (organization_id, project_id) references project (organization_id, id)
);
create index on project_member (user_id);
call protect('project_member');
grant select, insert, update, delete on project_member to opstac_app;

create table api_key (
  id text primary key,
  organization_id text not null references organization,
  lookup text not null unique,
  secret_sha256 bytea not null,
  name text not null,
  permissions text[] not null,
  rate_limit integer check (rate_limit > 0),
  created_by uuid references app_user,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz
);
create index on api_key (organization_id, created_at desc);
call protect('api_key');
grant select, insert, update on api_key to opstac_app;

-- ---------------------------------------------------------------- catalogue

create table collection (
  id text primary key,
  organization_id text not null references organization,
  project_id text not null,
  slug text not null,
  name text not null,
  description text,
  color text,
  show_on_map boolean not null default true,
  layer_order integer not null default 0,
  auto_created boolean not null default false,
  source_type text,
  source_id text,
  stac jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  unique (organization_id, id),
  foreign key (organization_id, project_id) references project (organization_id, id)
);
create unique index collection_slug on collection (organization_id, slug) where deleted_at is null;
create index on collection (project_id) where deleted_at is null;
call protect('collection');
grant select, insert, update on collection to opstac_app;
grant select on collection, project to opstac_stac;

create table item (
  id text primary key,
  organization_id text not null references organization,
  project_id text not null,
  collection_id text,
  stac_id text not null,
  type text not null,
  name text not null,
  description text,
  geometry jsonb,
  bbox float8[],
  datetime timestamptz,
  start_datetime timestamptz,
  end_datetime timestamptz,
  cloud_cover float8,
  gsd float8,
  properties jsonb not null default '{}',
  stac_extensions text[] not null default '{}',
  lifecycle_state text not null default 'active'
    check (lifecycle_state in ('active', 'expiring', 'archived', 'expired', 'deleted')),
  expires_at timestamptz,
  archived_at timestamptz,
  version integer not null default 1,
  previous_version_id text,
  duplicated_from_id text,
  order_id text,
  upload_id text,
  job_id text,
  created_by uuid references app_user,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  unique (organization_id, id),
  foreign key (organization_id, project_id) references project (organization_id, id),
  foreign key (organization_id, collection_id) references collection (organization_id, id)
);
-- a client-supplied id is unique within its collection, or within its project when uncollected
create unique index item_stac_id on item (coalesce(collection_id, project_id), stac_id) where deleted_at is null;
create index on item (project_id, created_at desc, id) where deleted_at is null;
create index on item (collection_id, created_at desc, id) where deleted_at is null;
create index on item (organization_id, stac_id) where deleted_at is null;
create index on item (job_id) where job_id is not null;
call protect('item');
grant select, insert, update on item to opstac_app;
grant select on item to opstac_stac;

create table item_version (
  organization_id text not null,
  item_id text not null,
  version integer not null,
  snapshot jsonb not null,
  replaced_at timestamptz not null default now(),
  primary key (item_id, version),
  foreign key (organization_id, item_id) references item (organization_id, id)
);
comment on table item_version is 'What an item said before each update.';
call protect('item_version');
grant select, insert on item_version to opstac_app;

create table asset (
  id text primary key,
  organization_id text not null,
  item_id text not null,
  key text not null,
  title text,
  file_name text,
  object_path text not null,
  media_type text not null,
  roles text[] not null default '{data}',
  size_bytes bigint not null check (size_bytes >= 0),
  checksum text not null,
  epsg integer,
  width integer,
  height integer,
  transform float8[],
  dtype text,
  nodata float8,
  nodata_is_nan boolean not null default false,
  band_count integer,
  band_names text[] not null default '{}',
  bands jsonb not null default '[]',
  raster jsonb not null default '{}',
  is_cog boolean not null default false,
  is_categorical boolean not null default false,
  datetime timestamptz,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  foreign key (organization_id, item_id) references item (organization_id, id)
);
create unique index asset_key on asset (item_id, key) where deleted_at is null;
create index on asset (object_path) where deleted_at is null;
call protect('asset');
grant select, insert, update on asset to opstac_app;
comment on column asset.raster is 'What inspection found beyond the typed columns (gsd_m, footprint, scale and offset, colour).';

create table visualization_profile (
  id text primary key,
  organization_id text not null,
  item_id text not null,
  name text not null,
  layer text not null check (layer in ('sensor', 'auto', 'user')),
  type text not null check (type in ('rgb', 'singleband', 'multiband', 'expression')),
  is_default boolean not null default false,
  sort_order integer not null default 0,
  config jsonb not null,
  asset_key text,
  version integer not null default 1,
  created_by uuid references app_user,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  foreign key (organization_id, item_id) references item (organization_id, id)
);
create unique index visualization_profile_default on visualization_profile (item_id) where is_default;
call protect('visualization_profile');
grant select, insert, update, delete on visualization_profile to opstac_app;

-- ---------------------------------------------------------------- uploads

create table upload (
  id text primary key,
  organization_id text not null,
  project_id text not null,
  status text not null default 'pending'
    check (status in ('pending', 'uploading', 'processing', 'completed', 'failed', 'expired')),
  transfer_method text not null,
  file_count integer not null check (file_count >= 1),
  total_bytes bigint not null check (total_bytes >= 0),
  reserved_bytes bigint not null default 0 check (reserved_bytes >= 0),
  bytes_uploaded bigint not null default 0 check (bytes_uploaded >= 0),
  target_collection_id text,
  target_item_id text,
  asset_key text,
  is_categorical boolean not null default false,
  error_message text,
  error_step text,
  item_ids text[] not null default '{}',
  request jsonb,
  lease_until timestamptz,
  created_by uuid references app_user,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  expires_at timestamptz not null default now() + interval '24 hours',
  unique (organization_id, id),
  foreign key (organization_id, project_id) references project (organization_id, id)
);
create index on upload (expires_at) where status in ('pending', 'uploading');
call protect('upload');
grant select, insert, update on upload to opstac_app;
comment on column upload.request is 'The body of uploads.complete while it is being carried out, so that it can be resumed.';

create table upload_file (
  organization_id text not null,
  upload_id text not null,
  object_path text primary key,
  file_name text not null,
  content_type text not null,
  size_bytes bigint not null default 0 check (size_bytes >= 0),
  created_at timestamptz not null default now(),
  unique (upload_id, file_name),
  foreign key (organization_id, upload_id) references upload (organization_id, id)
);
call protect('upload_file');
grant select, insert, update on upload_file to opstac_app;

-- ---------------------------------------------------------------- jobs and prices

create table price (
  subject text not null,
  unit text not null check (unit in ('flat', 'sq_km', 'megapixel')),
  credits_per_unit numeric(12, 4) not null check (credits_per_unit >= 0),
  minimum_credits bigint not null default 0 check (minimum_credits >= 0),
  valid_from timestamptz not null default '2026-01-01Z',
  primary key (subject, valid_from)
);
comment on table price is 'What a process costs; the newest row in force applies. Not a tenant table.';
grant select on price to opstac_app, opstac_system;
insert into price (subject, unit, credits_per_unit, minimum_credits) values
  ('clip', 'sq_km', 0.05, 1),
  ('ndvi', 'sq_km', 0.05, 1),
  ('external', 'flat', 5, 5),
  ('echo', 'flat', 0, 0);

create table job (
  id text primary key,
  organization_id text not null,
  project_id text not null,
  job_type_id text not null,
  version text not null default '1.0',
  status text not null default 'pending'
    check (status in ('pending', 'dispatched', 'running', 'completed', 'failed', 'cancelled')),
  priority integer not null default 0,
  progress float8 not null default 0 check (progress between 0 and 100),
  stage text,
  input_params jsonb not null default '{}',
  target_collection_id text,
  source_item_ids text[] not null default '{}',
  output_item_ids text[] not null default '{}',
  outputs jsonb,
  hold_id text,
  credits_reserved bigint not null default 0,
  credits_charged bigint,
  error_code text,
  error_message text,
  worker text,
  queue_id bigint,
  epoch integer not null default 0,
  attempts integer not null default 0,
  kills integer not null default 0,
  lease_until timestamptz,
  retry_at timestamptz,
  cancel_requested boolean not null default false,
  created_by uuid references app_user,
  created_at timestamptz not null default now(),
  dispatched_at timestamptz,
  started_at timestamptz,
  completed_at timestamptz,
  updated_at timestamptz not null default now(),
  deadline timestamptz,
  deleted_at timestamptz,
  unique (organization_id, id),
  foreign key (organization_id, project_id) references project (organization_id, id)
);
create index job_waiting on job (organization_id, priority desc, dispatched_at) where status = 'dispatched';
create index job_running on job (organization_id) where status = 'running';
create index on job (organization_id, created_at desc, id);
create index on job (project_id, created_at desc, id);
call protect('job');
grant select, insert, update on job to opstac_app;
comment on column job.outputs is 'The answer of the registration that ended the job, for the repeat by the same epoch.';

create table job_output (
  organization_id text not null,
  job_id text not null,
  epoch integer not null,
  object_path text primary key,
  file_name text not null,
  size_bytes bigint not null,
  created_at timestamptz not null default now(),
  foreign key (organization_id, job_id) references job (organization_id, id)
);
create index on job_output (organization_id, job_id);
comment on table job_output is 'Files a worker has put for a job; only these can be registered.';
call protect('job_output');
grant select, insert, delete on job_output to opstac_app;

create table registered_worker (
  job_type_id text not null,
  version text not null,
  name text not null,
  queue text not null default 'jobs',
  active boolean not null default true,
  heartbeat_at timestamptz not null default now(),
  primary key (job_type_id, version, name)
);
comment on table registered_worker is
  'Who can run what. A worker writes its rows at start and its heartbeat keeps them; not a tenant table.';
grant select on registered_worker to opstac_app;
grant select, insert, update, delete on registered_worker to opstac_system;
-- a worker outside does this one: there is always somebody to hand it to
insert into registered_worker (job_type_id, version, name, queue, heartbeat_at)
  values ('external', '1.0', 'outside', 'external', 'infinity');

create table usage_counter (
  organization_id text not null,
  day date not null default current_date,
  metric text not null,
  value bigint not null default 0,
  primary key (organization_id, day, metric)
);
call protect('usage_counter');
grant select, insert, update on usage_counter to opstac_app;
