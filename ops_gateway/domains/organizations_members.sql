-- name: members
-- Locked in one order, so that two who leave at the same time cannot both be the last owner but one.
select user_id::text, role from organization_member where organization_id = :org order by user_id for update;

-- name: set_role
update organization_member set role = :role where organization_id = :org and user_id = (:user)::uuid;

-- name: remove
delete from organization_member where organization_id = :org and user_id = (:user)::uuid;

-- name: remove_from_projects
delete from project_member where organization_id = :org and user_id = (:user)::uuid;
