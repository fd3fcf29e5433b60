-- name: register_worker
insert into registered_worker (job_type_id, version, name, queue, active, heartbeat_at)
values (:type, :version, :name, 'jobs', true, now())
on conflict (job_type_id, version, name) do update set active = true, heartbeat_at = now()

-- name: unregister_worker
delete from registered_worker where name = :name
