-- name: describe
select opstac.describe_properties(:organization, :slot, :projects, :collections, :sample) as found

-- name: describe_public
select opstac.describe_public_properties(:collections, :sample) as found
