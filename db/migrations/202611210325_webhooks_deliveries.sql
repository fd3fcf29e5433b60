-- Deliveries of any kind go one way: what a subscription asked for, and what a job was given an address for.

-- ---------------------------------------------------------------- one queue of deliveries

alter table delivery alter column event_id drop not null, alter column subscription_id drop not null;
alter table delivery
  add column kind text not null default 'event',
  add column subject text,
  add column destination text,
  add constraint delivery_target check (
    case when kind = 'event' then event_id is not null and subscription_id is not null
         else subject is not null and destination is not null end);
alter table delivery drop constraint delivery_state_check;
alter table delivery add constraint delivery_state_check check (state in ('due', 'delivered', 'dead', 'dropped'));
comment on column delivery.kind is 'Who writes the message: event for a subscription, else a composer of that name.';
comment on column delivery.subject is 'What the message is about: the id of a job.';
comment on column delivery.destination is 'The address, where no subscription has it.';
comment on column delivery.state is 'dropped: there was nothing to say any more when its turn came.';
create index delivery_subject on delivery (subject) where state = 'due' and subject is not null;
create index delivery_sending on delivery (coalesce(subscription_id, destination)) where state = 'due';

-- ---------------------------------------------------------------- addresses that a job was given

create table job_callback (
  organization_id text not null,
  job_id text not null,
  kind text not null check (kind in ('scene', 'ogc.success', 'ogc.failed', 'ogc.progress')),
  url text not null,
  base_url text not null,
  created_at timestamptz not null default now(),
  primary key (organization_id, job_id, kind),
  foreign key (organization_id, job_id) references job (organization_id, id)
);
call protect('job_callback');
grant select, insert on job_callback to opstac_app;
comment on table job_callback is 'Where to send word of a job. Written with the job, never changed.';
comment on column job_callback.base_url is 'How the client reached the platform: links of the message begin with it.';

create function job_callbacks_due() returns trigger
language plpgsql security definer set search_path = opstac, pg_temp as $$
begin
  insert into delivery (id, organization_id, kind, subject, destination)
  select 'dlv_' || replace(gen_random_uuid()::text, '-', ''), c.organization_id, c.kind, c.job_id, c.url
  from job_callback c
  where c.organization_id = new.organization_id and c.job_id = new.id
    and case c.kind
      when 'scene' then new.status in ('completed', 'failed', 'cancelled')
      when 'ogc.success' then new.status = 'completed'
      when 'ogc.failed' then new.status in ('failed', 'cancelled')
      -- one that waits to be sent will tell the newest
      else new.status = 'running'
        and not exists (select from delivery d where d.subject = new.id and d.kind = c.kind and d.state = 'due')
    end;
  return null;
end $$;
comment on function job_callbacks_due is
  'Whatever ends a job, the deliveries that are due for it are rows of the same transaction.';
create trigger callbacks_due after update of status, progress on job for each row
when (new.status is distinct from old.status
      or (new.status = 'running' and floor(new.progress / 25) > floor(old.progress / 25)))
execute function job_callbacks_due();

-- ---------------------------------------------------------------- what messages are signed with

create table signing_secret (
  organization_id text primary key references organization,
  secret bytea not null,
  previous bytea,
  previous_until timestamptz,
  shown_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
call protect('signing_secret');
grant select, insert, update on signing_secret to opstac_app;
comment on table signing_secret is
  'What an organization''s webhooks are signed with, encrypted; the one before it signs too until previous_until.';

revoke all on function job_callbacks_due from public;
alter function job_callbacks_due() owner to opstac_system;
grant execute on function job_callbacks_due to opstac_app;
