// Better Auth's own client. It belongs to the server that serves this page, so it needs no address.
import { createAuthClient } from "better-auth/client";
import { jwtClient } from "better-auth/client/plugins";

export const auth = createAuthClient({ plugins: [jwtClient()] });
