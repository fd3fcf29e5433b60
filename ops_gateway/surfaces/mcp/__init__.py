"""`/mcp`: the registry as tools of the Model Context Protocol, for agents.

`door` is the HTTP endpoint, `calls` what a tool does, `tools` how an operation reads as a tool,
`search` finds operations by words, `confirm` holds spending back until it was agreed to, `content`
turns answers into results. The protocol itself is spoken by the official SDK, which only `door`
imports, at the first request.
"""
