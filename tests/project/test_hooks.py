"""What is hooked in other packages is where it was: these tests fail at an upgrade that moves it."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from typing import Any

import pytest
from a2wsgi.wsgi import build_environ
from autobahn.websocket import protocol as autobahn
from channels import consumer as channels_consumer
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from daphne import http_protocol, ws_protocol
from twisted.internet.address import IPv4Address
from twisted.web import http

from project import redis
from project.live import consumer, push
from project.run import valkey
from project.server import daphne_body, daphne_request, daphne_websocket
from project.server.wsgi_environ import environ_of
from tests.support.stack import ROOT, wait_until

CLIENT = IPv4Address("TCP", "127.0.0.1", 50000)


def overridden(ours: type, theirs: type) -> set[str]:
    """Return the methods of a class that its base has no longer."""
    own = {name for name, what in vars(ours).items() if inspect.isfunction(what) and name != "__init__"}
    assert own, "or this test means nothing"
    return {name for name in own if not hasattr(theirs, name)}


def test_daphne_looks_up_the_class_of_a_request_at_each_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    factory = http_protocol.HTTPFactory(None)
    assert factory.buildProtocol(CLIENT).requestFactory is http_protocol.WebRequest
    monkeypatch.setattr(http_protocol, "WebRequest", daphne_request.Request)
    assert factory.buildProtocol(CLIENT).requestFactory is daphne_request.Request


def test_daphne_looks_up_the_class_of_a_socket_at_each_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    factory = ws_protocol.WebSocketFactory(None)
    assert type(factory.buildProtocol(CLIENT)) is ws_protocol.WebSocketProtocol
    monkeypatch.setattr(ws_protocol.WebSocketFactory, "protocol", daphne_websocket.Protocol)
    assert type(factory.buildProtocol(CLIENT)) is daphne_websocket.Protocol


def test_install_replaces_both_classes_and_nothing_else_does() -> None:
    """In a process of its own: this one keeps daphne's."""
    script = """
import django; django.setup()
from daphne import http_protocol, ws_protocol
before = http_protocol.WebRequest, ws_protocol.WebSocketFactory.protocol
from project.server import daphne_request, daphne_websocket
assert before == (http_protocol.WebRequest, ws_protocol.WebSocketFactory.protocol)
daphne_request.install(); daphne_websocket.install()
assert http_protocol.WebRequest is daphne_request.Request
assert ws_protocol.WebSocketFactory.protocol is daphne_websocket.Protocol
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_our_request_overrides_is_called_so() -> None:
    assert overridden(daphne_request.Request, http_protocol.WebRequest) == set()
    assert overridden(daphne_body.Request, http.Request) == set()
    assert "parsePOSTFormSubmission" in inspect.signature(http.Request.__init__).parameters
    source = inspect.getsource(http_protocol)
    # What ours sets or reads of daphne's.
    for name in ("_response_started", "self.server.http_timeout", "self.server.ws_factory", "self.transport = "):
        assert name in source, name
    assert "self.server.websocket_connect_timeout" in inspect.getsource(ws_protocol)
    assert "openHandshakeTimeout" in autobahn.WebSocketProtocol.CONFIG_ATTRS_COMMON
    assert "uri" in inspect.getsource(http_protocol.WebRequest.handle_reply), "the access log names another thing"


def test_what_our_socket_overrides_and_forgets_is_called_so() -> None:
    assert overridden(daphne_websocket.Protocol, ws_protocol.WebSocketProtocol) == set()
    handshake = inspect.getsource(autobahn.WebSocketServerProtocol.processHandshake)
    for name in ("self.http_request_data = ", "self.http_headers"):
        assert name in handshake, name
    assert '"headers": self.clean_headers' in inspect.getsource(ws_protocol.WebSocketProtocol.onConnect)
    for name in ("STATE_CONNECTING", "STATE_CLOSING", "dropConnection"):
        assert hasattr(autobahn.WebSocketProtocol, name), name
    assert "closedByMe" in inspect.getsource(autobahn.WebSocketProtocol)


def test_a2wsgi_makes_an_environment_of_a_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(inspect.signature(build_environ).parameters) == ["scope", "body"]
    monkeypatch.setenv("SCRIPT_NAME", "/not-ours")
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "scheme": "https", "path": "/code/", "root_path": "",
        "query_string": b"a=1", "headers": [(b"host", b"example.org"), (b"x-one", b"1")],
        "server": ("127.0.0.1", 80), "client": ("192.0.2.1", 5),
    }  # fmt: skip
    environ = environ_of(scope, b"mobile=1")
    assert environ["wsgi.input"].read() == b"mobile=1"
    wanted = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/code/", "SCRIPT_NAME": "", "QUERY_STRING": "a=1",
        "CONTENT_LENGTH": "8", "HTTP_HOST": "example.org", "HTTP_X_ONE": "1", "REMOTE_ADDR": "192.0.2.1",
        "wsgi.url_scheme": "https",
    }  # fmt: skip
    assert {name: environ.get(name) for name in wanted} == wanted


def test_channels_receives_dispatches_and_joins_as_our_consumer_expects() -> None:
    assert overridden(consumer.EventConsumer, AsyncWebsocketConsumer) == {
        "enqueue", "join", "leave_groups", "part_unavailable", "_receive", "_handle",
    }  # fmt: skip
    assert channels_consumer.get_handler_name({"type": "delivery.changed"}) == "delivery_changed"
    with pytest.raises(ValueError, match="underscore"):
        channels_consumer.get_handler_name({"type": "_handle"})


def test_a_push_is_what_the_channel_layer_itself_publishes(settings: Any) -> None:
    """The public `group_send`, and ours, heard on the same channel: they are the same, byte for byte."""
    valkey.ensure(settings.VAR_DIR)
    listening = redis.client().pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    channel, message = push.published("browser.hooks", "wait.changed", seconds=30)
    listening.psubscribe("*")
    listening.get_message(timeout=10)
    heard: list[tuple[str, bytes]] = []

    async def group_send() -> None:
        await get_channel_layer().group_send("browser.hooks", {"type": "wait.changed", "seconds": 30})

    def has_heard(number: int) -> bool:
        if one := listening.get_message(timeout=0.01):
            heard.append((one["channel"].decode(), one["data"]))
        return len(heard) == number

    asyncio.run(group_send())
    wait_until(lambda: has_heard(1), 20)
    push.push("browser.hooks", "wait.changed", seconds=30)
    wait_until(lambda: has_heard(2), 20)
    listening.close()
    assert heard == [(channel, message)] * 2
