-- name: events
-- Each delivery's event, and where it goes now; no row where either is no more.
select w.place::integer as place, e.id, e.type, e.created_at, e.organization_id, e.entity_type, e.entity_id,
       e.project_id, e.data, s.active, s.endpoint_url, s.secret, s.sealed_headers,
       is_told(e.organization_id, s.created_by, s.everywhere, e.project_id) as told,
       case when s.previous_until > now() then s.previous end as previous
from unnest(:events::text[], :subscriptions::text[]) with ordinality as w (event_id, subscription_id, place)
join event_subscription s on s.id = w.subscription_id
join event e on e.id = w.event_id and e.organization_id = s.organization_id;
