"""A hub on 127.0.0.1 for tests: Hugging Face's API and ModelScope's, files with ranges and redirects, and faults on demand. Standard library only."""
import hashlib
import json
import socket
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Repo:
    """files: {path: bytes}; those of more than `lfs_above` bytes lie in LFS, so that their SHA-256 is told."""

    def __init__(self, files, lfs_above=1024):
        self.files, self.lfs_above = dict(files), lfs_above
        self.gated = False

    @property
    def commit(self):
        return hashlib.sha1(repr(sorted((p, hashlib.sha1(d).hexdigest()) for p, d in self.files.items())).encode()).hexdigest()

    def siblings(self):
        entries = []
        for path, data in self.files.items():
            oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            entry = {"rfilename": path, "size": len(data), "blobId": oid}
            if len(data) > self.lfs_above:
                entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            entries.append(entry)
        return entries


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def refuse(self, status, code=None, headers=(), body=b"no"):
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer_json(self, value):
        self.refuse(200, body=json.dumps(value).encode())

    def cut(self):
        """Ends the connection as a cable does."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def send_beginning(self, data, first, n):
        """The headers of all from `first` on, then n bytes of that."""
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (first, len(data) - 1, len(data)))
        self.send_header("Content-Length", str(len(data) - first))
        self.end_headers()
        self.wfile.write(data[first : first + n])
        self.wfile.flush()

    def send_file(self, data, ranges=True):
        hub, first = self.server.hub, 0
        asked = self.headers.get("Range")
        if asked and ranges:
            first = int(asked.split("=")[1].split("-")[0])
            if first >= len(data):
                return self.refuse(416, headers=[("Content-Range", "bytes */%d" % len(data))])
        self.send_beginning(data, first, 0)
        body = data[first:]
        for at in range(0, len(body), hub.chunk):
            self.wfile.write(body[at : at + hub.chunk])
            if hub.pause:
                time.sleep(hub.pause)

    def handle(self):
        try:
            super().handle()
        except ConnectionResetError:  # the client was killed
            pass

    def do_GET(self):
        hub = self.server.hub
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path if self.path.startswith("/") else self.path.split("?")[0])
        with hub.mutex:
            hub.requests.append((self.server.kind, path, dict(self.headers), self.path))
        try:
            if hub.fault and hub.fault(self, path):
                return
            self.route(hub, path)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def route(self, hub, path):
        for name, repo in hub.repos.items():
            if path.startswith("/api/models/%s/revision/" % name) and not hub.modelscope:
                revision = path.split("/revision/")[1]
                if revision not in ("main", "v1", repo.commit, "refs/pr/1"):
                    return self.refuse(404, "RevisionNotFound")
                return self.answer_json({"id": name, "sha": repo.commit, "siblings": hub.siblings or repo.siblings()})
            if path == "/api/v1/models/%s/repo/files" % name and hub.modelscope:
                files = [{"Path": "folder", "Type": "tree", "Size": 0}]
                files += [{"Path": p, "Type": "blob", "Size": len(d), "Sha256": hashlib.sha256(d).hexdigest()} for p, d in repo.files.items()]
                return self.answer_json({"Code": 200, "Data": {"Files": files}})
            for start in ("/%s/resolve/%s/" % (name, repo.commit), "/models/%s/resolve/master/" % name):
                if path.startswith(start) and path[len(start) :] in repo.files:
                    if repo.gated:
                        return self.refuse(401 if not self.headers.get("Authorization") else 403, "GatedRepo")
                    data = repo.files[path[len(start) :]]
                    if hub.cdn and self.server.kind == "hub" and len(data) > repo.lfs_above:
                        return self.refuse(302, headers=[("Location", hub.cdn + self.path)])
                    return self.send_file(data, hub.ranges)
        self.refuse(404, None if hub.modelscope else "RepoNotFound")


class Hub:
    """One endpoint and, beside it on another port, a content server."""

    def __init__(self, certificate=None):
        self.repos, self.requests, self.mutex = {}, [], threading.Lock()
        self.servers = []
        self.reset()
        self.url, self.other = self.serve("hub", certificate), self.serve("cdn")

    def reset(self):
        self.fault, self.cdn, self.ranges, self.modelscope, self.siblings = None, None, True, False, None
        self.chunk, self.pause = 1 << 16, 0
        self.requests.clear()

    def serve(self, kind, certificate=None):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads, server.hub, server.kind = True, self, kind
        if certificate:
            import ssl

            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.servers.append(server)
        return "http%s://127.0.0.1:%d" % ("s" if certificate else "", server.server_port)

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def files_asked(self):
        return [p.split("/resolve/")[1].split("/", 1)[1] for kind, p, _, _ in self.requests if "/resolve/" in p and kind == "hub"]
