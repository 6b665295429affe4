"""Better Auth's formats, and only here: tokens, cookies, hashes and keys."""
