"""What a WSGI application sees behind gunicorn: the target as it came, and the decoded path (PEP 3333).

The settings of gunicorn are in the same file, which it reads as its configuration.
"""

import json
import os
import signal
import sys
import threading

bind = "127.0.0.1:0"
workers = 1
worker_class = "gthread"
threads = 8
worker_connections = 256
keepalive = 60
# Longer than the targets that the gateway lets through; 8190 is the most that gunicorn takes.
limit_request_line = 8190
limit_request_field_size = 0
control_socket_disable = True


def when_ready(server):
    host, port = server.LISTENERS[0].sock.getsockname()
    print(json.dumps({"address": f"{host}:{port}"}), flush=True)


def on_starting(server):
    def wait():
        sys.stdin.read()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()


def application(environ, start_response):
    path = environ["PATH_INFO"]
    place = "public" if path == "/public" or path.startswith("/public/") else "other"
    identity = "yes" if environ.get("HTTP_AUTHORIZATION") else "no"
    headers = [
        ("X-Target", f"[{environ['RAW_URI']}]"),
        ("X-Path", f"[{path}]"),
        ("X-Place", place),
        ("X-Identity", identity),
        ("Content-Length", "2"),
    ]
    start_response("200 OK", headers)
    return [b"ok"]
