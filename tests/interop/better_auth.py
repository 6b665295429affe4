"""The real Better Auth, run by Node.js: its migration, and its server."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal, TypedDict, Unpack
from urllib.parse import urlsplit

import httpx
import jwt

from tests.interop.nodejs import FOLDER, newest_node, node

#: The versions of `node/package.json`. 1.7.2 is the last one with `account.issuer`.
VERSIONS: Final = ("1.6.30", "1.7.2", "1.7.7", "1.7.24", "1.7.25")
#: Those with which options are tried: 1.7.24 has the options of 1.7.25.
VERSIONS_OF_OPTIONS: Final = ("1.6.30", "1.7.2", "1.7.7", "1.7.25")
KeyAlgorithm = Literal["EdDSA", "ES256", "RS256", "PS256", "ES512"]
PASSWORD: Final = "correct horse battery"
NO_CREDENTIAL: Final[Mapping[str, str]] = {}

_START_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.02


class Settings(TypedDict, total=False):
    """Better Auth's optional settings."""

    #: Comma-separated.
    trusted_origins: str
    #: Lifetime of a session in seconds.
    expires_in: int
    #: Age in seconds at which a session that is used is prolonged.
    update_age: int
    #: The algorithm of keys that are generated from now on.
    key_algorithm: KeyAlgorithm
    #: Seconds that a key signs tokens.
    rotation_interval: int
    #: Seconds that an expired key stays in the key set.
    grace_period: int
    cookie_prefix: str
    use_secure_cookies: bool
    #: If set, cookies are sent to all subdomains.
    cookie_domain: str
    cookie_cache: Literal["compact", "jwt", "jwe"]
    require_email_verification: bool
    #: If set, Better Auth migrates the database at its start.
    migrate: Literal["run"]
    #: One of `node/layouts.mjs`.
    layout: str
    #: The time zone of the process.
    tz: str
    #: The option `requireSignature` of the `bearer` plugin.
    bearer_require_signature: bool
    #: Whether sessions are in a `secondaryStorage`.
    secondary_storage: bool
    #: Where they are in Redis, and under which prefix. Empty: in the adapter of Better Auth's
    #: documents.
    redis_url: str
    redis_prefix: str
    #: Where users are, if not in PostgreSQL.
    database: Literal["sqlite", "memory", "none"]
    sqlite_file: str
    #: Whether the plugin `anonymous` is there, with guests whose tasks are moved.
    guests: bool
    #: Further options of Better Auth as JSON, in its own form.
    options: str
    #: The path of its routes.
    base_path: str
    #: One of the sets of plugins in `node/plugins.mjs`.
    plugins: str
    #: One of the options of `jwt()` in `node/plugins.mjs`, and their environment.
    jwt: str
    jwks_url: str
    signing_key: str


class BetterAuthServer:
    """A Better Auth server, and a browser's requests to it.

    Credentials are passed as headers: see `cookie_of` and `bearer_of`.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._start()

    @property
    def url(self) -> str:
        """The scheme, host and port that it listens on."""
        return f"http://127.0.0.1:{self._environment['PORT']}"

    @property
    def origin(self) -> str:
        """The origin of its pages: that of the base URL, if there is one, or of `url`."""
        base = urlsplit(self._environment.get("BASE_URL", self.url))
        return f"{base.scheme}://{base.netloc}"

    def stop(self) -> None:
        """Stop the process, and wait for its exit."""
        with self.process:
            self.process.terminate()

    def restart(self, **settings: Unpack[Settings]) -> None:
        """Stop the process if it runs, and start it with further settings on the same port."""
        self.stop()
        self._environment |= _environment(settings)
        self._start()

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] = NO_CREDENTIAL,
        **content: Any,
    ) -> httpx.Response:
        """One request below `/api/auth`, without cookies of earlier ones."""
        origin = {} if method == "GET" else {"Origin": self.origin}
        # Loading the system's certificates takes longer than a request.
        with httpx.Client(base_url=self.url, trust_env=False, verify=False, timeout=30) as client:
            base_path = self._environment.get("BASE_PATH", "/api/auth")
            return client.request(
                method, f"{base_path}{path}", headers={**origin, **headers}, **content
            )

    def sign_up(
        self, email: str, password: str = PASSWORD, name: str = "Ada", **more: object
    ) -> httpx.Response:
        body = {"email": email, "password": password, "name": name, **more}
        return self.request("POST", "/sign-up/email", json=body)

    def sign_in(self, email: str, password: str = PASSWORD, **more: object) -> httpx.Response:
        body = {"email": email, "password": password, **more}
        return self.request("POST", "/sign-in/email", json=body)

    def get_session(self, credential: Mapping[str, str] = NO_CREDENTIAL) -> httpx.Response:
        """Always succeeds: the body is `null` without a session."""
        return self.request("GET", "/get-session", credential)

    def token(self, credential: Mapping[str, str]) -> httpx.Response:
        """A JWT, in the member `token` of the body."""
        return self.request("GET", "/token", credential)

    def jwks(self) -> httpx.Response:
        return self.request("GET", "/jwks")

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of a JWT. Raises `jwt.PyJWTError` or `KeyError` if it is not valid here."""
        key = jwt.PyJWKSet.from_dict(self.jwks().json())[jwt.get_unverified_header(token)["kid"]]
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=[key.algorithm_name], audience=self.origin, issuer=self.origin
        )
        return claims

    def delete_user(
        self, credential: Mapping[str, str], password: str = PASSWORD
    ) -> httpx.Response:
        """Delete the account: only with a layout."""
        return self.request("POST", "/delete-user", credential, json={"password": password})

    def sign_out(self, credential: Mapping[str, str]) -> httpx.Response:
        return self.request("POST", "/sign-out", credential, json={})

    def change_password(
        self, credential: Mapping[str, str], current: str, new: str, *, revoke: bool = False
    ) -> httpx.Response:
        """With `revoke`, all sessions end, and the response has a new one."""
        body = {"currentPassword": current, "newPassword": new, "revokeOtherSessions": revoke}
        return self.request("POST", "/change-password", credential, json=body)

    def _start(self) -> None:
        self.process = subprocess.Popen(
            # The machine's Node.js may have no SQLite.
            [node() if "SQLITE_FILE" not in self._environment else newest_node(), "server.mjs"],
            cwd=FOLDER,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            self._environment["PORT"] = str(self._port())
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def _port(self) -> int:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("Better Auth did not start: see its output on stderr")
        port: int = json.loads(line)["port"]
        return port

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("Better Auth does not respond: see its output on stderr")
            time.sleep(_POLL_SECONDS)

    def _is_ready(self) -> bool:
        try:
            return self.request("GET", "/ok").is_success
        except httpx.TransportError:
            return False


@contextmanager
def server(
    url: str,
    *,
    secret: str,
    version: str = "1.7.7",
    base_url: str | None = None,
    port: int = 0,
    **settings: Unpack[Settings],
) -> Iterator[BetterAuthServer]:
    """A Better Auth server on a database, ready for requests.

    It exits with the process of the tests, however that ends. Raises `RuntimeError` if it does not
    start.
    """
    environment = {
        "DATABASE_URL": url,
        "BETTER_AUTH_SECRET": secret,
        "VERSION": version,
        "PORT": str(port),
        **({} if base_url is None else {"BASE_URL": base_url}),
        **_environment(settings),
    }
    started = BetterAuthServer(environment)
    try:
        yield started
    finally:
        started.stop()


def cookie_of(response: httpx.Response) -> dict[str, str]:
    """The `Cookie` header that a browser sends after a response."""
    lines = response.headers.get_list("set-cookie")
    pairs = [line.partition(";")[0].partition("=") for line in lines if "Max-Age=0;" not in line]
    kept = {name: value for name, _, value in pairs}
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in kept.items())}


def bearer_of(response: httpx.Response) -> dict[str, str]:
    """The `Authorization` header with the signed session token of a response."""
    return {"Authorization": f"Bearer {response.headers['set-auth-token']}"}


def better_auth(url: str, *args: str, **settings: str) -> dict[str, Any]:
    """The output of `migrate.mjs`, with the settings as its environment."""
    finished = subprocess.run(
        [node(), "migrate.mjs", *args],
        cwd=FOLDER,
        env={"DATABASE_URL": url, **settings},
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    output: dict[str, Any] = json.loads(finished.stdout)
    return output


def _environment(settings: Settings) -> dict[str, str]:
    return {
        name.upper(): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in settings.items()
    }
