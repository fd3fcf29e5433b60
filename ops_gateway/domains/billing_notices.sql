-- name: payers
select user_id::text as user_id from organization_member
where organization_id = :org and role in ('owner', 'admin', 'billing');
