"""An engine for tests: an HTTP server with a child of its own, as vLLM has.

Arguments: port, then any of `stubborn` (SIGTERM is ignored, by the child too), `leave-child` (ends at once, its child
does not), `never-well` (/health answers 503).
"""

import http.server
import signal
import subprocess
import sys
import time

port, *manners = sys.argv[1:]
ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " if "stubborn" in manners else ""
child = subprocess.Popen(
    [sys.executable, "-c", ignore + "import time; print('the child runs', flush=True); time.sleep(600)"]
)
if "stubborn" in manners:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "leave-child" in manners:
    time.sleep(0.3)
    sys.stdout.write("the engine gives up\n")
    sys.exit(3)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        well = self.path == "/health" and "never-well" not in manners
        self.send_response(200 if well else 503)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


sys.stdout.write("listening soon\n")
sys.stdout.flush()
http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
