-- name: key
select id, organization_id, slot, secret_sha256, permissions, rate_limit, expired, revoked
from authenticate_key(:lookup);

-- name: user
select id, email, name, disabled, organization_id, slot, role, projects, is_operator(:user) as operator,
       ended, generation, floor
from authenticate_user(:user, :sign_in);

-- name: exchanged_key
select id, organization_id, slot, permissions, rate_limit, expired, revoked, generation, floor
from authenticate_key(:lookup), session_generations();

-- name: job
select organization_id, slot, status, epoch, job_type_id, project_id from authenticate_job(:job);

-- name: touch
select touch_keys(:ids) is null as done;
