/** Type assertions: they fail to compile if the document is less exact than they require. */

/** Whether two types are identical; `any` and `unknown` equal only themselves. */
export type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Whether a type has these members, each with exactly this type; it may have others. */
export type Has<Type, Members> = Equal<Pick<Type, keyof Type & keyof Members>, Members>;

/** Compiles only if the argument is `true`. */
export type True<_Is extends true> = void;

/** Compiles only if the argument is `never`; the compiler error shows the other type. */
export type None<_Is extends never> = void;

/** Paths of a type that are `any` or `unknown`, but for headers, which the client does not type. */
export type Loose<Type, Path extends string = ""> = unknown extends Type
  ? Path
  : Type extends readonly (infer Item)[]
    ? Loose<Item, `${Path}[]`>
    : Type extends object
      ? {
          [Key in keyof Type & (string | number)]-?: Key extends "headers"
            ? never
            : Loose<Type[Key], `${Path}/${Key}`>;
        }[keyof Type & (string | number)]
      : never;
