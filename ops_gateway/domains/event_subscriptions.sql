-- name: count_all
select count(*) as total from event_subscription where organization_id = :org;

-- name: insert
insert into event_subscription (id, organization_id, event_type, endpoint_url, filter_config, sealed_headers,
  header_names, secret, description, everywhere, created_by, created_by_key)
values (:id, :org, :event_type, :endpoint_url, :filter_config, :sealed_headers, :header_names, :secret, :description,
  :everywhere, :user, :key)
returning id, organization_id, event_type, endpoint_url, filter_config, header_names as headers, description, active,
  created_by::text, created_at, updated_at, disabled_at, disabled_reason;

-- name: subscription
select id, organization_id, event_type, endpoint_url, filter_config, header_names as headers, description, active,
       created_by::text, created_at, updated_at, disabled_at, disabled_reason
from event_subscription where organization_id = :org and id = :id;

-- name: subscription_for_update
select id, active, endpoint_url, created_by::text from event_subscription
where organization_id = :org and id = :id
for update;

-- name: list_subscriptions
select id, organization_id, event_type, endpoint_url, filter_config, header_names as headers, description, active,
       created_by::text, created_at, updated_at, disabled_at, disabled_reason
from event_subscription
where organization_id = :org
  and (:event_type::text is null or event_type = :event_type)
  and (:active::boolean is null or active = :active)
order by created_at desc, id desc;

-- name: update
-- Enabled again, or at another address, it is as good as new.
update event_subscription s
set endpoint_url = coalesce(:endpoint_url::text, s.endpoint_url),
    filter_config = coalesce(:filter_config::jsonb, s.filter_config),
    description = coalesce(:description::text, s.description),
    sealed_headers = case when :new_headers::boolean then :sealed_headers::bytea else s.sealed_headers end,
    header_names = case when :new_headers::boolean then :header_names::text[] else s.header_names end,
    active = coalesce(:active::boolean, s.active),
    -- who enables what its maker may not have any more makes it their own
    created_by = case when c.taken then (:user)::uuid else s.created_by end,
    everywhere = case when c.taken then :everywhere else s.everywhere end,
    created_by_key = case when c.enabled then :key else s.created_by_key end,
    active_since = case when c.enabled then clock_timestamp() else s.active_since end,
    failures = case when c.renewed then 0 else s.failures end,
    dead_in_row = case when c.renewed then 0 else s.dead_in_row end,
    failing_since = case when c.renewed then null else s.failing_since end,
    gone = s.gone and not c.renewed,
    succeeded_at = case when not c.renewed then s.succeeded_at end,
    disabled_at = case when c.enabled then null when s.active and not coalesce(:active::boolean, true) then now()
                       else s.disabled_at end,
    disabled_reason = case when c.enabled then null when s.active and not coalesce(:active::boolean, true) then 'was disabled'
                           else s.disabled_reason end,
    updated_at = now()
from (select coalesce(:active::boolean, false) and not o.active as enabled,
             coalesce(:active::boolean, false) and not o.active and o.created_by is not null
               and not may_be_told(o.organization_id, o.created_by, o.everywhere) as taken,
             (coalesce(:active::boolean, false) and not o.active)
               or coalesce(:endpoint_url::text, o.endpoint_url) <> o.endpoint_url as renewed
      from event_subscription o where o.organization_id = :org and o.id = :id) c
where s.organization_id = :org and s.id = :id
returning s.id, s.organization_id, s.event_type, s.endpoint_url, s.filter_config, s.header_names as headers,
  s.description, s.active, s.created_by::text, s.created_at, s.updated_at, s.disabled_at, s.disabled_reason;

-- name: give_up
-- What waits for a subscription that is disabled: it can be replayed.
update delivery set state = 'dead', claimed_until = null, error = 'not sent: the subscription is disabled'
where organization_id = :org and subscription_id = :id and state = 'due';

-- name: drop_deliveries
update delivery set state = 'dropped', claimed_until = null, error = 'the subscription was deleted'
where organization_id = :org and subscription_id = :id and state = 'due';

-- name: delete
delete from event_subscription where organization_id = :org and id = :id;

-- name: rotate
update event_subscription
set previous = case when :hours > 0 then secret end,
    previous_until = case when :hours > 0 then now() + make_interval(hours => :hours) end,
    secret = :secret, updated_at = now()
where organization_id = :org and id = :id
returning previous_until;

-- name: disable
update event_subscription
set active = false, disabled_at = now(), updated_at = now(),
    disabled_reason = case when gone then 'answered that it is gone (410)'
                           else 'took nothing for ' || :hours || ' hours' end
where organization_id = :org and id = :id and active
  and (gone or dead_in_row >= :dead and failing_since <= now() - make_interval(hours => :hours))
returning endpoint_url, disabled_reason, created_by::text;
