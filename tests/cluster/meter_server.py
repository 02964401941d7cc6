"""A tiny API of custom metrics for the cluster tests: requests per second of pods.

Runs in a pod of its own, with nothing but Python. The real controller of HorizontalPodAutoscalers
asks it through the API server, and it asks Prometheus.
"""

import json
import re
import ssl
import sys
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit
from urllib.request import urlopen

VERSION = "custom.metrics.k8s.io/v1beta2"
METRIC = "requests_per_second"
PATH = re.compile(rf"/apis/{VERSION}/namespaces/([a-z0-9-]+)/pods/\*/{METRIC}")
REVISIONS = re.compile(r"rampway\.dev/revision(?:=| in \()([a-z0-9,]+)")
PROMETHEUS = "http://prometheus.rampway-system.svc:9090/api/v1/query"
WINDOW = "30s"
ASK_S = 5.0


def found(namespace: str, revisions: str) -> list[dict[str, Any]]:
    """Return the requests per second of each pod of some revisions, as the API of metrics says."""
    either = revisions.replace(",", "|")
    series = f'rampway_requests_total{{namespace="{namespace}",revision=~".*({either})"}}'
    query = urlencode({"query": f"sum by (pod) (rate({series}[{WINDOW}]))"})
    with urlopen(f"{PROMETHEUS}?{query}", timeout=ASK_S) as answer:
        results = json.load(answer)["data"]["result"]
    return [
        {
            "describedObject": {
                "kind": "Pod", "namespace": namespace, "name": one["metric"]["pod"],
                "apiVersion": "v1",
            },
            "metric": {"name": METRIC},
            "timestamp": f"{datetime.fromtimestamp(one['value'][0], UTC):%Y-%m-%dT%H:%M:%SZ}",
            "windowSeconds": 30,
            "value": f"{round(float(one['value'][1]) * 1000)}m",
        }
        for one in results
    ]  # fmt: skip


def resources() -> dict[str, Any]:
    """Return what there is to be asked for."""
    kind = {"name": f"pods/{METRIC}", "namespaced": True, "kind": "MetricValueList"}
    listed = [kind | {"singularName": "", "verbs": ["get"]}]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": VERSION,
            "resources": listed}  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """Answers the API server."""

    def do_GET(self) -> None:
        """Answer one question."""
        url = urlsplit(self.path)
        asked = PATH.fullmatch(unquote(url.path))
        if unquote(url.path) == f"/apis/{VERSION}":
            self._say(200, resources())
        elif asked is None:
            self._say(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404})
        else:
            selector = parse_qs(url.query).get("labelSelector", [""])[0]
            revisions = REVISIONS.search(selector)
            items = found(asked[1], revisions[1] if revisions else "")
            self._say(200, {"kind": "MetricValueList", "apiVersion": VERSION, "items": items})

    def _say(self, code: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def main() -> None:
    """Serve on port 8080, with the certificate and the key in the folder that is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{sys.argv[1]}/tls.crt", f"{sys.argv[1]}/tls.key")
    server = ThreadingHTTPServer(("", 8080), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
