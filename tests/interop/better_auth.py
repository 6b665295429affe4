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

from tests.interop.nodejs import FOLDER, node

# Those of `node/package.json`. 1.7.2 is the last with `account.issuer`.
VERSIONS: Final = ("1.6.30", "1.7.2", "1.7.7", "1.7.24")
KeyAlgorithm = Literal["EdDSA", "ES256", "RS256", "PS256", "ES512"]
PASSWORD: Final = "correct horse battery"
NO_CREDENTIAL: Final[Mapping[str, str]] = {}

_PATIENCE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.02


class Settings(TypedDict, total=False):
    """Better Auth's options beyond the necessary ones; one that is not given is its default."""

    trusted_origins: str
    """Separated by commas."""
    expires_in: int
    """Seconds that a session lives."""
    update_age: int
    """Seconds after which a session that is used is prolonged."""
    key_algorithm: KeyAlgorithm
    """Of the keys that it makes from now on."""
    rotation_interval: int
    """Seconds that a key signs."""
    grace_period: int
    """Seconds that a key which no longer signs stays in the key set."""
    cookie_prefix: str
    use_secure_cookies: bool
    cookie_domain: str
    """Where given, cookies cross subdomains."""
    cookie_cache: Literal["compact", "jwt", "jwe"]
    require_email_verification: bool
    migrate: Literal["run"]
    """Whether Better Auth migrates the database at its start."""


class BetterAuthServer:
    """A Better Auth that answers over HTTP, and a browser's requests to it.

    What a request is authorised by are headers: see `cookie_of` and `bearer_of`.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._start()

    @property
    def url(self) -> str:
        """Where it listens: a scheme, a host and a port."""
        return f"http://127.0.0.1:{self._environment['PORT']}"

    @property
    def origin(self) -> str:
        """Of the pages that it belongs to; what it listens on, unless it has a base URL."""
        base = urlsplit(self._environment.get("BASE_URL", self.url))
        return f"{base.scheme}://{base.netloc}"

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        with self.process:
            self.process.terminate()

    def restart(self, **settings: Unpack[Settings]) -> None:
        """End it if it runs, and start it with further settings at the same address."""
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
        """One request below `/api/auth`, with nothing remembered from the one before."""
        origin = {} if method == "GET" else {"Origin": self.origin}
        # To read the certificates of all the world takes longer than to ask.
        with httpx.Client(base_url=self.url, trust_env=False, verify=False, timeout=30) as client:
            return client.request(
                method, f"/api/auth{path}", headers={**origin, **headers}, **content
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
        """Success in any case: the body is `null` where there is no session."""
        return self.request("GET", "/get-session", credential)

    def token(self, credential: Mapping[str, str]) -> httpx.Response:
        """A JWT, in the body's `token`."""
        return self.request("GET", "/token", credential)

    def jwks(self) -> httpx.Response:
        return self.request("GET", "/jwks")

    def claims(self, token: str) -> dict[str, Any]:
        """What a JWT says. Raises `jwt.PyJWTError` or `KeyError` where this server would not."""
        key = jwt.PyJWKSet.from_dict(self.jwks().json())[jwt.get_unverified_header(token)["kid"]]
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=[key.algorithm_name], audience=self.origin, issuer=self.origin
        )
        return claims

    def sign_out(self, credential: Mapping[str, str]) -> httpx.Response:
        return self.request("POST", "/sign-out", credential, json={})

    def change_password(
        self, credential: Mapping[str, str], current: str, new: str, *, revoke: bool = False
    ) -> httpx.Response:
        """With `revoke`, every session ends, and the answer brings a new one."""
        body = {"currentPassword": current, "newPassword": new, "revokeOtherSessions": revoke}
        return self.request("POST", "/change-password", credential, json=body)

    def _start(self) -> None:
        self.process = subprocess.Popen(
            [node(), "server.mjs"],
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
            raise RuntimeError("Better Auth did not start: what it said is on stderr")
        port: int = json.loads(line)["port"]
        return port

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("Better Auth does not answer: what it said is on stderr")
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
    """Better Auth on the database at a URL, from its first answer to the end of the block.

    It ends with the process of the tests, however that one ends. Raises `RuntimeError` where it
    does not start.
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


def cookie_of(answer: httpx.Response) -> dict[str, str]:
    """The header in which a browser sends back the cookies that an answer set."""
    lines = answer.headers.get_list("set-cookie")
    pairs = [line.partition(";")[0].partition("=") for line in lines if "Max-Age=0;" not in line]
    kept = {name: value for name, _, value in pairs}
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in kept.items())}


def bearer_of(answer: httpx.Response) -> dict[str, str]:
    """The header with the signed token of the session that an answer began."""
    return {"Authorization": f"Bearer {answer.headers['set-auth-token']}"}


def better_auth(url: str, *args: str, **settings: str) -> dict[str, Any]:
    """What `migrate.mjs` prints; the settings are its environment, with nothing of ours."""
    done = subprocess.run(
        [node(), "migrate.mjs", *args],
        cwd=FOLDER,
        env={"DATABASE_URL": url, **settings},
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def _environment(settings: Settings) -> dict[str, str]:
    return {
        name.upper(): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in settings.items()
    }
