/** What the document uses of `pg`, which brings no types of its own. */

export declare class Pool {
  constructor(options: { connectionString: string | undefined });
  query(text: string, values: string[]): Promise<unknown>;
}
