from __future__ import annotations

import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
import requests

from llm_judge_remote.testing import JudgeServer

MODEL = "Qwen/Qwen3-32B"


class Client:
    """A plain HTTP client, so that nothing but the server is under test."""

    def __init__(self, server):
        self.server = server
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, path, **options):
        return self.session.get(self.server.url + path, timeout=20, **options)

    def post(self, path, body, **options):
        return self.session.post(self.server.url + path, json=body, timeout=20, **options)

    def chat(self, text="hello", **fields):
        return self.post("/v1/chat/completions", chat_body(text, **fields))

    def batch(self, texts, **fields):
        messages = [chat_body(text)["messages"] for text in texts]
        return self.post("/v1/chat/completions/batch", {"model": MODEL, "messages": messages, **fields})

    def content(self, text="hello", **fields):
        response = self.chat(text, **fields)
        assert response.status_code == 200, response.text
        return response.json()["choices"][0]["message"]["content"]


def chat_body(text="hello", **fields):
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}


def chat_bytes(text):
    body = orjson.dumps(chat_body(text))
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: "
    return head + str(len(body)).encode() + b"\r\n\r\n" + body


@pytest.fixture
def connect():
    """A client for a server; its connections are closed at the end."""
    clients = []

    def make(server):
        clients.append(Client(server))
        return clients[-1]

    yield make
    for client in clients:
        client.session.close()


@pytest.fixture
def raw():
    """A raw connection to a server, with a chat request sent on it, or other bytes."""
    sockets = []

    def make(server, data=None, text="hello"):
        sockets.append(socket.create_connection(("127.0.0.1", server.port), timeout=20))
        sockets[-1].sendall(chat_bytes(text) if data is None else data)
        return sockets[-1]

    yield make
    for each in sockets:
        each.close()


@pytest.fixture
def at_once():
    """Sends chat requests, each from a thread and on a connection of its own; futures of the responses."""
    with ThreadPoolExecutor(64) as pool:

        def ask(server, texts):
            def post(text):
                with requests.Session() as session:
                    session.trust_env = False
                    return session.post(f"{server.url}/v1/chat/completions", json=chat_body(text), timeout=20)

            return [pool.submit(post, text) for text in texts]

        yield ask


@pytest.fixture
def server():
    with JudgeServer() as server:
        yield server


@pytest.fixture
def drain():
    """Reads a raw connection until it ends, in whichever way."""

    def read(connection):
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                data += chunk
        return data

    return read
