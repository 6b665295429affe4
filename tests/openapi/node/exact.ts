/** Types about types: with them, a document that promises less does not compile. */

/** Whether two types are one; `any` and `unknown` are only themselves. */
export type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Whether a type has these members, each with exactly this type; it may have others. */
export type Has<Type, Members> = Equal<Pick<Type, keyof Type & keyof Members>, Members>;

/** Compiles for what is true. */
export type True<_Is extends true> = void;

/** Compiles for nothing but `never`; so that the compiler says what there is instead. */
export type None<_Is extends never> = void;

/** Where in a type something is `any` or `unknown`; headers are read from the answer itself. */
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
