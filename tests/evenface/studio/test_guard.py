"""Who is answered: whoever has the token, asks by the loopback's name, and comes from here."""

import pytest

pytest.importorskip("nicegui")  # brings starlette and httpx

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from evenface.studio.guard import Guard, new_token

PORT = 8321
HOME = f"http://127.0.0.1:{PORT}"
SOCKET = f"ws://127.0.0.1:{PORT}/ws"
REFUSED = 403


async def answer(request):
    return PlainTextResponse("faces")


async def talk(socket):
    await socket.accept()
    await socket.send_text("faces")
    await socket.close()


@pytest.fixture
def guard():
    routes = [Route("/{path:path}", answer, methods=["GET", "POST"]), WebSocketRoute("/ws", talk)]
    return Guard(Starlette(routes=routes), new_token(), PORT)


@pytest.fixture
def client(guard):
    with TestClient(guard, base_url=HOME, follow_redirects=False) as client:
        yield client


def let_in(client, guard):
    answer = client.get(f"/?token={guard.token}")
    assert answer.status_code == 303
    return answer


def test_nothing_is_answered_without_the_token(client, guard):
    for path in ("/", "/files/results/index.html", "/_nicegui/x.js", "/?token=", "/?token=guess"):
        assert client.get(path).status_code == REFUSED, path
    assert client.post("/photographs").status_code == REFUSED
    client.cookies.set(guard.cookie, "guess")
    assert client.get("/").status_code == REFUSED
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(SOCKET):
        pass


def test_the_token_leads_to_the_page_without_it_and_stays_in_a_cookie(client, guard):
    answer = let_in(client, guard)
    assert answer.headers["location"] == "/"
    kept = answer.headers["set-cookie"]
    assert guard.cookie in kept and "HttpOnly" in kept and "SameSite=Strict" in kept
    assert client.get("/").text == "faces"
    with client.websocket_connect(SOCKET) as socket:
        assert socket.receive_text() == "faces"
    assert guard.address == f"{HOME}/?token={guard.token}"


def test_a_token_leads_to_no_other_server(client, guard):
    answer = client.get(f"{HOME}//example.org/x?token={guard.token}&a=1")
    assert answer.headers["location"] == "/example.org/x?a=1"


def test_tokens_differ_and_are_long():
    tokens = {new_token() for _ in range(20)}
    assert len(tokens) == 20
    assert min(map(len, tokens)) >= 40


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "example.org"},  # a name that was turned to the loopback
        {"host": "127.0.0.1:9"},
        {"origin": "http://example.org"},
        {"origin": "http://127.0.0.1:9"},  # another server of this machine has the cookie, too
        {"origin": "null"},
    ],
)
def test_others_are_refused_with_the_token_too(client, guard, headers):
    let_in(client, guard)
    assert client.post("/photographs", headers=headers).status_code == REFUSED
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(SOCKET, headers=headers):
        pass
    assert client.post("/photographs", headers={"origin": HOME}).text == "faces"


def test_pages_may_ask_no_other_server(client, guard):
    let_in(client, guard)
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'self'" in policy
    assert f"connect-src 'self' ws://127.0.0.1:{PORT}" in policy
