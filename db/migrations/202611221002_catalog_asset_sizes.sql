-- What a project stores: one pass of this, and no row of the table. The organization is what row-level security asks for;
-- it is no key, so that nobody takes this to look through all that an organization has.
create index asset_stored on asset (project_id) include (organization_id, size_bytes)
  where deleted_at is null and object_path is not null;
