-- A key may be made to spend by MCP without a confirmation of each purchase.
alter table api_key add column mcp_spend boolean not null default false;
