-- name: mail
select id as mail_id, recipient as "to", subject, text, created_at as at from mail where id = :id;
