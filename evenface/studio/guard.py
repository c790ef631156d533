"""Who may ask the server: whoever has its token, and pages of its own alone."""

import http.cookies
import secrets
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

HOST = "127.0.0.1"
TOKEN = "token"  # its name in the address

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def new_token() -> str:
    """Return a token that cannot be guessed."""
    return secrets.token_urlsafe(32)


class Guard:
    """An ASGI application in front of another, which only sees what it lets through.

    The token stands in the first address; the answer keeps it in a cookie and leads to the same
    address without it. Whatever comes without it is refused, websockets too; so is what another
    name than the loopback's is asked for by (a name server that was turned), and what the page of
    another server sends.
    """

    def __init__(self, app: App, token: str, port: int) -> None:
        """Stand before `app`, which is reached by a port of the loopback."""
        self.app = app  # NiceGUI looks for its own application by this name
        self.token = token
        self.port = port
        self.cookie = f"evenface-studio-{port}"  # cookies of all ports of a host lie together
        self.hosts = [f"{name}:{port}" for name in (HOST, "localhost")]

    @property
    def address(self) -> str:
        """Where the page is, with the token."""
        return f"http://{HOST}:{self.port}/?{TOKEN}={self.token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): text.decode("latin-1")
                   for name, text in scope["headers"]}  # fmt: skip
        query = urllib.parse.parse_qs(scope["query_string"].decode("latin-1"))
        brought = query.get(TOKEN, [""])[0]
        if not self._is_from_here(headers):
            await self._refuse(scope, send, "Only pages of this server may ask it.")
        elif scope["type"] == "http" and brought and self._is_token(brought):
            await self._take_in(scope, query, send)
        elif self._is_token(self._kept(headers)):
            await self.app(scope, receive, self._with_policy(scope, send))
        else:
            await self._refuse(
                scope, send, "The address lacks its token: open the one that was printed."
            )

    def _is_from_here(self, headers: dict[str, str]) -> bool:
        origin = headers.get("origin")
        origins = [f"http://{host}" for host in self.hosts]
        return headers.get("host") in self.hosts and (origin is None or origin in origins)

    def _is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode(), self.token.encode())

    def _kept(self, headers: dict[str, str]) -> str:
        """Return the token of the cookie, empty where there is none."""
        try:
            found = http.cookies.SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except http.cookies.CookieError:
            return ""
        return "" if found is None else found.value

    async def _take_in(self, scope: Scope, query: dict[str, list[str]], send: Send) -> None:
        """Keep the token in a cookie, and lead to the address without it."""
        rest = {name: values for name, values in query.items() if name != TOKEN}
        path = "/" + urllib.parse.quote(scope["path"].lstrip("/"))  # never another host's
        address = f"{path}?{urllib.parse.urlencode(rest, doseq=True)}" if rest else path
        cookie = f"{self.cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/"
        headers = {"location": address, "set-cookie": cookie, "referrer-policy": "no-referrer"}
        await _answer(send, 303, headers, "")

    async def _refuse(self, scope: Scope, send: Send, why: str) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": why})
        else:
            await _answer(send, 403, {"content-type": "text/plain; charset=utf-8"}, f"{why}\n")

    def _with_policy(self, scope: Scope, send: Send) -> Send:
        """Return `send` that forbids pages to ask other servers, and others to frame them."""
        sockets = " ".join(f"ws://{host}" for host in self.hosts)
        # Vue compiles what NiceGUI sends it: no page of it works without unsafe-eval.
        policy = (
            "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:;"
            f" connect-src 'self' {sockets}; object-src 'none'; base-uri 'self';"
            " form-action 'self'; frame-ancestors 'self'"
        )
        added = {
            "content-security-policy": policy,
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        }

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.decode("latin-1").lower() for name, _ in message["headers"]}
                missing = {name: text for name, text in added.items() if name not in present}
                message["headers"] = [*message["headers"], *_encoded(missing)]
            await send(message)

        return with_policy if scope["type"] == "http" else send


async def _answer(send: Send, status: int, headers: Mapping[str, str], text: str) -> None:
    start = {"type": "http.response.start", "status": status, "headers": _encoded(headers)}
    await send(start)
    await send({"type": "http.response.body", "body": text.encode()})


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()]
