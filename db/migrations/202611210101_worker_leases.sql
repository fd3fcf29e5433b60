-- What the worker's loops look for: expired leases, and when an organization last had its turn.

create index job_leased on job (lease_until) where status = 'running';
create index job_ended on job (organization_id, completed_at) where started_at is not null;
