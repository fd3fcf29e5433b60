-- name: queue_mail
select queue_mail(:id, :to, :subject, :text, :dedupe_key) as queued;

-- name: addresses
select email from member_addresses(:users::uuid[]);
