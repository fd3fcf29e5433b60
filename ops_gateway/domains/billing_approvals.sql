-- name: insert_approval
insert into approval (id, organization_id, credits, requested_by, requested_by_user, expires_at)
values (:id, :org, :credits, :by,
        coalesce(:by_user::uuid, (select created_by from api_key where organization_id = :org and id = :by)),
        now() + make_interval(hours => :hours))
returning *;

-- name: approval
select *, status = 'pending' and expires_at <= now() as lapsed from approval
where organization_id = :org and id = :id;

-- name: lock_approval
select *, status = 'pending' and expires_at <= now() as lapsed from approval
where organization_id = :org and id = :id for update;

-- name: approvals
select *, lapsed from (
  select *, status = 'pending' and expires_at <= now() as lapsed from approval where organization_id = :org) a
where :status::text is null or case when lapsed then 'expired' else status end = :status
order by created_at desc, id limit :limit;

-- name: charging
select id from payment
where organization_id = :org and approval_id = :id and state in ('started', 'requires_action');

-- name: reject
update approval set status = 'rejected', decided_by = :by, reason = :reason, decided_at = now()
where organization_id = :org and id = :id returning *;

-- name: overdue
select a.organization_id, a.id from approval a
where a.status = 'pending' and a.expires_at <= now()
  and not exists (select from payment p where p.approval_id = a.id and p.state in ('started', 'requires_action'))
order by a.expires_at limit :limit;

-- name: expire
update approval set status = 'expired', decided_at = now()
where organization_id = :org and id = :id and status = 'pending' and expires_at <= now()
returning *;

-- name: role
select role from organization_member where organization_id = :org and user_id = :user::uuid;

-- name: set_policy
insert into approval_policy (organization_id, threshold_credits, second_person, updated_by)
values (:org, :threshold, :second, :by)
on conflict (organization_id) do update
  set threshold_credits = excluded.threshold_credits, second_person = excluded.second_person,
      updated_by = excluded.updated_by, updated_at = now();
