"""A Hugging Face Hub on this machine, of which nothing but writing a model is there."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub:
    """What was written to a hub.

    Attributes:
        private: whether a repository is its owner's alone, by its name.
        files: bytes of all files of a repository, by its name and theirs.
        takes: False for a hub that lets nobody write.
    """

    def __init__(self):
        self.private, self.files, self.takes = {}, {}, True

    def answer(self, path, body):
        """Return status and JSON of an answer to a POST."""
        if not self.takes:
            return 403, {"error": "You have no right to write here"}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            if name in self.private:
                return 409, {"error": "it is there", "url": f"{self.address}/{name}"}
            self.private[name], self.files[name] = asked["visibility"] == "private", {}
            return 200, {"url": f"{self.address}/{name}"}
        name = path.removeprefix("/api/models/").rpartition("/")[0].rpartition("/")[0]
        if path.endswith("/preupload/main"):
            found = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            return 200, {"files": found}
        assert path.endswith("/commit/main"), path
        for line in body.decode().splitlines():
            one = json.loads(line)
            if one["key"] == "file":
                value = one["value"]
                self.files[name][value["path"]] = base64.b64decode(value["content"])
        told = {"commitUrl": f"{self.address}/{name}/commit/0", "commitOid": "0" * 40}
        return 200, {**told, "success": True}


@contextmanager
def running():
    """Run a hub, and yield it."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.tell(404, {"error": "it is not there"})

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.tell(*hub.answer(self.path.partition("?")[0], body))

        def tell(self, status, told):
            text = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *values):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
