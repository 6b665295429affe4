// Better Auth's own client. Its server also serves this page, so it needs no base URL.
import { createAuthClient } from "better-auth/client";
import { jwtClient } from "better-auth/client/plugins";

export const auth = createAuthClient({ plugins: [jwtClient()] });
