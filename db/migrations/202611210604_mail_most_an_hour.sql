-- Nobody is sent more mails by an organization than they can read: beyond 60 an hour to one address none is written.

create index mail_sent_to on mail (organization_id, recipient, created_at);

create or replace function queue_mail(p_id text, p_recipient text, p_subject text, p_text text, p_dedupe_key text)
returns boolean
language plpgsql security definer set search_path = opstac, pg_temp as $$
declare
  v_org text := coalesce(nullif(current_setting('opstac.org', true), ''), 'platform');
begin
  if v_org <> 'platform' and (
    select count(*) from mail
    where organization_id = v_org and recipient = p_recipient and created_at > now() - interval '1 hour') >= 60
  then
    return false;
  end if;
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
comment on function queue_mail is
  'A mail and its delivery; false where one of this key was written to the recipient, or 60 within the hour.';
