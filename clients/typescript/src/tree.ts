// The operations as a tree of properties: `client.processing.jobTypes.list(body)`.

import type { CallOptions } from "./connection.js";
import { operationIds } from "./generated/ids.js";
import type { Answer, Arguments, Camel, OperationId } from "./names.js";

/** Calls one operation. */
export type Call<Id extends OperationId> = (
  ...args: Arguments<Id, CallOptions>
) => Promise<Answer<Id>>;

// the ids below `Prefix`, without it
type Below<Prefix extends string> = Prefix extends ""
  ? OperationId
  : OperationId extends infer Id
    ? Id extends `${Prefix}.${infer Rest}`
      ? Rest
      : never
    : never;
type Head<Id extends string> = Id extends `${infer First}.${string}` ? First : Id;
type Join<Prefix extends string, Name extends string> = Prefix extends ""
  ? Name
  : `${Prefix}.${Name}`;
type Node<Path extends string> = ([Path] extends [OperationId]
  ? Call<Path & OperationId>
  : unknown) &
  ([Below<Path>] extends [never] ? unknown : Tree<Path>);

/** The operations below a prefix; each name as published and in camelCase. */
export type Tree<Prefix extends string> = {
  readonly [Name in Head<Below<Prefix>>]: Node<Join<Prefix, Name>>;
} & {
  readonly [Name in Head<Below<Prefix>> as Camel<Name>]: Node<Join<Prefix, Name>>;
};

/** Every operation as a property of a property. */
export type Operations = Tree<"">;

/** Hang every operation on `root`; `call` carries them out. */
export function plant(
  root: object,
  call: (id: string, body: unknown, options?: CallOptions) => Promise<unknown>,
): void {
  const nodes = new Map<string, object>([["", root]]);
  for (const id of operationIds) {
    const names = id.split(".");
    for (let depth = 1; depth <= names.length; depth++) {
      const path = names.slice(0, depth).join(".");
      if (nodes.has(path)) continue;
      // the ids are sorted, so an operation comes before what is below it
      const node: object =
        path === id
          ? (body: unknown, options?: CallOptions) => call(id, body, options)
          : Object.create(null);
      nodes.set(path, node);
      hang(nodes.get(names.slice(0, depth - 1).join("."))!, names[depth - 1]!, node);
    }
  }
}

function hang(parent: object, name: string, node: object): void {
  const camel = name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  for (const spelling of new Set([name, camel])) {
    // not enumerable: what is logged is the client and not every operation
    Object.defineProperty(parent, spelling, { value: node });
  }
}
