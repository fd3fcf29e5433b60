-- name: reopen_uploads
-- A call that died while it completed its session.
update upload set status = 'uploading', lease_until = null, updated_at = now()
where status = 'processing' and lease_until < now() - interval '5 minutes';

-- name: sweep_outputs
-- Files of jobs that ended a day ago, and of runs that another run has replaced since an hour; the
-- sweeper leaves those that are assets.
with gone as (
  delete from job_output o
  where o.object_path = any (array(
    select f.object_path
    from job_output f join job j on j.organization_id = f.organization_id and j.id = f.job_id
    where (j.status in ('completed', 'failed', 'cancelled') and j.completed_at < now() - interval '1 day')
      or (f.epoch < j.epoch and f.created_at < now() - interval '1 hour')
    limit 1000))
  returning o.object_path, o.organization_id
)
insert into removed_object (object_path, organization_id)
select object_path, organization_id from gone
on conflict (object_path) do nothing;

-- name: forget_keys
delete from idempotency_key
where ctid = any (array(select ctid from idempotency_key where expires_at < now() limit 5000));

-- name: forget_sign_ins
-- What has expired for an hour; a family goes with its refresh tokens when no token of it can hold.
with families as (delete from sign_in where expires_at < now() - interval '1 hour'),
tokens as (delete from refresh_token where expires_at < now() - interval '1 day'),
browsers as (delete from browser_session where expires_at < now()),
mailed as (delete from mail_token where expires_at < now() - interval '1 day'),
asked as (delete from sign_up where expires_at < now()),
devices as (delete from device_grant where expires_at < now() - interval '1 hour'),
codes as (delete from authorization_code where expires_at < now() - interval '1 day')
delete from sign_in_attempt
where begun_at < now() - case when kind = 'known' then interval '90 days' else interval '1 day' end;

-- name: keep_partitions
select keep_partitions();

-- name: sweep_logs
-- Logs of deleted searches; entries of 90 days that a newer one of the same item has replaced; events
-- due in organizations whose searches are all gone.
with gone as (
  delete from saved_search_entry
  where ctid = any (array(
    select e.ctid from saved_search_entry e join saved_search s on s.id = e.search_id
    where s.deleted_at is not null limit 20000))
),
replaced as (
  delete from saved_search_entry
  where ctid = any (array(
    select e.ctid from saved_search_entry e
    where e.at < now() - interval '90 days'
      and exists (select from saved_search_entry n
                  where n.search_id = e.search_id and n.item_id = e.item_id and n.seq > e.seq)
    limit 20000))
)
delete from saved_search_due d
where not exists (select from saved_search s where s.organization_id = d.organization_id and s.deleted_at is null);

-- name: earlier_documents
-- Organizations with documents that an earlier version wrote.
select distinct organization_id from (
  select organization_id from item where document_format < 1 and deleted_at is null
  order by organization_id, id limit 5000) i;

-- name: due_pictures
-- A round that ends badly leaves the row; it is tried again when the others have had their turn.
update item_picture p set asked_at = now() + interval '10 minutes'
from (select item_id from item_picture where signature is null and asked_at <= now()
      order by asked_at limit :limit for update skip locked) d
where p.item_id = d.item_id
returning p.item_id, p.organization_id;

-- name: sweep_notifications
-- What was dismissed a month ago, and what nobody has looked at for a year.
delete from notification
where id = any (array(
  select id from notification
  where dismissed_at < now() - interval '30 days' or created_at < now() - interval '1 year'
  order by created_at limit 20000));

-- name: sweep_alerts
-- Events about items that were given up a month ago.
delete from alert_due where given_up_at < now() - interval '30 days';

-- name: sweep_mails
delete from mail
where id = any (array(select id from mail where created_at < now() - interval '30 days' order by created_at limit 20000));

-- name: hopeless_subscriptions
select organization_id, id from event_subscription
where active and (gone or dead_in_row >= :dead and failing_since <= now() - make_interval(hours => :hours))
limit 100;
