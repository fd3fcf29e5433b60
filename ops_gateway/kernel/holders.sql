-- name: still_reads
select still_reads(:holder, :org, :projects::text[]) as stands;
