"""Better Auth's formats, and only here: tokens, cookies, password hashes and keys."""
