"""A TLS server of one canned answer, in a process of its own: what is measured is the client."""

import http.server
import json
import ssl
import sys
from collections.abc import Iterator


def rows(count: int) -> Iterator[dict[str, object]]:
    """Guests as /cluster/resources of a 9.2 cluster lists them."""
    for place in range(count):
        running = place % 5 != 0
        yield {
            "id": f"qemu/{100 + place}",
            "vmid": 100 + place,
            "type": "qemu" if place % 3 else "lxc",
            "name": f"guest-{place:05d}.example.com",
            "node": f"pve{place % 8 + 1}",
            "status": "running" if running else "stopped",
            "template": 0,
            "tags": "prod;web;safe-shutdown" if place % 4 else "lab",
            "pool": "customers",
            "cpu": 0.0123 + place % 90 / 100 if running else 0,
            "maxcpu": 4,
            "mem": 2_345_678_901 if running else 0,
            "maxmem": 4_294_967_296,
            "memhost": 2_445_678_901,
            "disk": 0,
            "maxdisk": 34_359_738_368,
            "diskread": 123_456_789 + place,
            "diskwrite": 987_654_321 + place,
            "netin": 55_555_555 + place,
            "netout": 44_444_444 + place,
            "uptime": 864_000 + place if running else 0,
        }


def main() -> None:
    guests, certificate, key = sys.argv[1:4]
    body = json.dumps({"data": list(rows(int(guests)))}, separators=(",", ":")).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json;charset=UTF-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
