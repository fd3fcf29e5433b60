-- name: describe
select opstac.describe_properties(:organization, :slot, :projects, :collections, :sample) as found
