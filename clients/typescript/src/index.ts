// The TypeScript client of the opstac platform.

export { Geopera, Geopera as Client } from "./client.js";
export type { Job, Upload, WaitOptions } from "./client.js";
export type { CallOptions, ClientOptions, Token } from "./connection.js";
export { operationIds } from "./generated/ids.js";
export type { Answer, BytesId, Camel, Input, OperationId, Schemas } from "./names.js";
export { JobFailed, NoAnswer, Problem } from "./problem.js";
export type { Fault } from "./problem.js";
export type { Call, Operations } from "./tree.js";
export type { UploadOptions } from "./upload.js";
