export * from "opstac";
