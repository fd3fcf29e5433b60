-- What is told to people: notifications, which they read in the application, and mails.

-- ---------------------------------------------------------------- notifications

create function person() returns uuid
language sql stable parallel safe as $$ select nullif(current_setting('opstac.person', true), '')::uuid $$;
comment on function person() is 'The human user whose own rows this transaction may see; null where none is named.';

create table notification (
  id text primary key,
  user_id uuid not null references app_user,
  organization_id text references organization,
  title text not null,
  body text not null,
  type text not null,
  entity_type text,
  entity_id text,
  dedupe_key text,
  created_at timestamptz not null default clock_timestamp(),
  read_at timestamptz,
  dismissed_at timestamptz
);
create index notification_inbox on notification (user_id, created_at desc, id) where dismissed_at is null;
create index notification_age on notification (created_at);
create unique index notification_once on notification (user_id, organization_id, dedupe_key) nulls not distinct
  where dedupe_key is not null;
call protect('notification');
-- a person without an organization has an inbox too, and nobody sees that of another
drop policy tenant on notification;
create policy tenant on notification to opstac_app using (
  user_id = person()
  and (organization_id is null or organization_id = nullif(current_setting('opstac.org', true), '')));
grant select, update on notification to opstac_app;
comment on table notification is
  'What a person is told. Without organization_id it is the person''s own; else it is seen while they are in it.';

create function add_notifications(
  p_personal boolean, p_users uuid[], p_title text, p_body text, p_type text, p_entity_type text, p_entity_id text,
  p_dedupe_key text
) returns integer
language plpgsql security definer set search_path = opstac, pg_temp as $$
declare
  v_org text := case when p_personal then null else opstac.org() end;
  added integer;
begin
  insert into notification (id, user_id, organization_id, title, body, type, entity_type, entity_id, dedupe_key)
  select 'nt_' || left(replace(gen_random_uuid()::text, '-', ''), 22), u.id, v_org, p_title, p_body, p_type,
         p_entity_type, p_entity_id, p_dedupe_key
  from app_user u
  where u.disabled_at is null
    and (p_users is null or u.id = any (p_users))
    and case when v_org is null then p_users is not null
             else exists (select from organization_member m where m.organization_id = v_org and m.user_id = u.id) end
  order by u.id
  on conflict do nothing;
  get diagnostics added = row_count;
  return added;
end $$;
comment on function add_notifications is
  'A notification for every member of the bound organization, or those named; personal ones for any person named.';

-- ---------------------------------------------------------------- word of changes, for those who wait

create function tell_person() returns trigger
language plpgsql as $$
begin
  -- the argument names the column that has the person's id
  perform pg_notify('person', to_jsonb(coalesce(new, old)) ->> tg_argv[0]);
  return null;
end $$;
comment on function tell_person is
  'Says on the channel `person` whose inbox or standing changed; the text is their id and nothing more.';
create trigger tell_person after insert or delete on notification for each row
execute function tell_person('user_id');
create trigger tell_person_read after update on notification for each row
when (new.read_at is distinct from old.read_at or new.dismissed_at is distinct from old.dismissed_at)
execute function tell_person('user_id');
create trigger tell_person after insert or update or delete on organization_member for each row
execute function tell_person('user_id');
create trigger tell_person after update of disabled_at on app_user for each row execute function tell_person('id');

-- ---------------------------------------------------------------- mails

create table mail (
  id text primary key,
  organization_id text not null,
  recipient text not null,
  subject text not null,
  text text not null,
  dedupe_key text,
  created_at timestamptz not null default now()
);
create unique index mail_once on mail (organization_id, recipient, dedupe_key) where dedupe_key is not null;
create index mail_age on mail (created_at);
call protect('mail');
comment on table mail is
  'Mails as they are sent; the row of `delivery` of kind mail says what became of one. Kept for thirty days.';
comment on column mail.organization_id is 'The sender; `platform` for word to people without an organization.';

create function queue_mail(p_id text, p_recipient text, p_subject text, p_text text, p_dedupe_key text) returns boolean
language plpgsql security definer set search_path = opstac, pg_temp as $$
declare
  v_org text := coalesce(nullif(current_setting('opstac.org', true), ''), 'platform');
begin
  insert into mail (id, organization_id, recipient, subject, text, dedupe_key)
  values (p_id, v_org, p_recipient, p_subject, p_text, p_dedupe_key)
  on conflict do nothing;
  if not found then
    return false;
  end if;
  insert into delivery (id, organization_id, kind, subject, destination)
  values ('dlv_' || replace(gen_random_uuid()::text, '-', ''), v_org, 'mail', p_id, 'mailto:' || p_recipient);
  return true;
end $$;
comment on function queue_mail is 'A mail and its delivery; false where one of this key was written to the recipient.';

create function member_addresses() returns table (email text)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select u.email
  from organization_member m join app_user u on u.id = m.user_id
  where m.organization_id = opstac.org() and u.disabled_at is null and u.email is not null
  order by m.created_at, m.user_id
$$;

-- ---------------------------------------------------------------- who may

do $$
declare
  f text;
begin
  foreach f in array array[
    'add_notifications(boolean, uuid[], text, text, text, text, text, text)',
    'queue_mail(text, text, text, text, text)', 'member_addresses()'] loop
    execute format('revoke all on function %s from public', f);
    execute format('alter function %s owner to opstac_system', f);
    execute format('grant execute on function %s to opstac_app', f);
  end loop;
end $$;
