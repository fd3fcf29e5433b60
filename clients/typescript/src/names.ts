// Which operations there are, and what they take and give, out of the generated description.

import type { components, operations } from "./generated/schema.js";

/** The id of an operation, such as `items.get`. */
export type OperationId = keyof operations & string;

/** The named schemas of the platform's OpenAPI document. */
export type Schemas = components["schemas"];

type Json<Content> = Content extends { "application/json": infer Body } ? Body : never;
type Published<Id extends OperationId> = operations[Id]["requestBody"];
type SnakeBody<Id extends OperationId> = Exclude<
  NonNullable<Published<Id>> extends { content: infer Content } ? Json<Content> : never,
  null
>;

/** `item_id` as `itemId`. */
export type Camel<Name extends string> = Name extends `${infer First}_${infer Rest}`
  ? `${First}${Capitalize<Camel<Rest>>}`
  : Name;

/**
 * A schema with its own fields in camelCase. Free-form objects, whose keys are the user's (`properties`,
 * `inputs`, GeoJSON), stay as they are: the type of their keys is any text.
 */
export type CamelCased<T> = T extends readonly unknown[]
  ? { [Index in keyof T]: CamelCased<T[Index]> }
  : T extends object
    ? string extends keyof T
      ? T
      : { [Field in keyof T as Field extends string ? Camel<Field> : Field]: CamelCased<T[Field]> }
    : T;

/** The input of an operation, with its fields all as published or all in camelCase. */
export type Input<Id extends OperationId> = SnakeBody<Id> | CamelCased<SnakeBody<Id>>;

type Success<Id extends OperationId> = operations[Id]["responses"] extends infer Responses
  ? Responses[keyof Responses & (200 | 201 | 202)] extends { content: infer Content }
    ? Content
    : never
  : never;

/** Whether an operation answers bytes: an image, a file, a document that is not JSON. */
export type IsBytes<Id extends OperationId> = [
  Exclude<keyof Success<Id>, "application/json" | "application/geo+json">,
] extends [never]
  ? false
  : true;

/** The answer of an operation. Its names are never altered. */
export type Answer<Id extends OperationId> =
  IsBytes<Id> extends true ? Uint8Array : Success<Id>[keyof Success<Id>];

/** Ids of the operations that answer bytes. */
export type BytesId = { [Id in OperationId]: IsBytes<Id> extends true ? Id : never }[OperationId];

/** The arguments of a call: a body may be left out where all of its fields may. */
export type Arguments<Id extends OperationId, Options> =
  {} extends SnakeBody<Id>
    ? [body?: Input<Id> | null, options?: Options]
    : [body: Input<Id>, options?: Options];
