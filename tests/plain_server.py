"""A small HTTP server that answers what it is told to, in clear or over TLS, and can act as a proxy."""

import email.utils
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class PlainServer:
    """Answers by path: `{"/health": (200, b"")}`, with headers as a third element; all else is a 404.

    Args:
        answers: By path, or a function of the path (in a request to a proxy: the whole URL).
        certificate: Paths of a certificate and its key: it speaks TLS.
        ahead: Seconds by which its clock is ahead.

    Attributes:
        asked: The paths that were asked for, in order.
    """

    def __init__(self, answers, certificate=None, ahead=0.0):
        asked = self.asked = []

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                asked.append(self.path)
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                found = answers(self.path) if callable(answers) else answers.get(self.path)
                status, body, *headers = found or (404, b"")
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Length": len(body), **(headers[0] if headers else {})}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer  # noqa: N815 (as the base class wants it)

            def date_time_string(self, timestamp=None):
                return email.utils.formatdate((timestamp or time.time()) + ahead, usegmt=True)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
