-- name: stored
-- Outside a transaction, so the function is told the organization.
select fingerprint, state, status, content_type, body, encrypted, project_id, lapsed
from stored_answer(:org, :operation, :key);

-- name: begin
select outcome, status, content_type, body, encrypted, project_id, intent
from kernel_begin(:org, :operation, :key, :fingerprint, :amount, :intent, :finishing);

-- name: spender
-- Whose spend cap the reservations of this transaction count to.
select set_config('opstac.spender', :spender, true);

-- name: finish
select kernel_finish(:record, :body);

-- name: forget
delete from idempotency_key
where organization_id = :org and operation = :operation and key = :key and state = 'running'
  and intent_id = :intent;
