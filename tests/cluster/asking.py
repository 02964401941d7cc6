"""Reads objects from the API server over a connection that is kept.

A test that waits looks again and again, and each kubectl costs a tenth of a second of processor,
and the API server a handshake.
"""

import json
from functools import cache
from http import HTTPStatus
from typing import Any

from kubernetes.client import ApiClient, ApiException
from kubernetes.config import new_client_from_config
from urllib3.exceptions import HTTPError

from rampway.kube import kinds
from rampway.kube.kinds import Kind

Obj = dict[str, Any]
KINDS = {found.plural: found for found in vars(kinds).values() if isinstance(found, Kind)}


class NotRead(Exception):  # noqa: N818 - named after what it is
    """The API server gave no such object, or did not answer."""


def read(kubeconfig: str, kind: Kind, namespace: str, name: str, timeout_s: float) -> Obj:
    """Return one object.

    Raises:
        NotRead: it is not there, or nobody answered.
    """
    return _get(kubeconfig, kind.path(namespace, name), "", timeout_s)


def read_all(
    kubeconfig: str, kind: Kind, namespace: str, label: str, timeout_s: float
) -> list[Obj]:
    """Return all objects of a kind in a namespace that have the labels, each with its kind.

    Raises:
        NotRead: nobody answered.
    """
    found = _get(kubeconfig, kind.path(namespace), label, timeout_s)
    about = {"apiVersion": kind.api_version, "kind": kind.kind}
    return [about | one for one in found["items"]]


def _get(kubeconfig: str, path: str, label: str, timeout_s: float) -> Obj:
    client = _client(kubeconfig)
    method, url, headers, *_ = client.param_serialize(
        "GET",
        path,
        query_params=[("labelSelector", label)] if label else [],
        auth_settings=["BearerToken"],
    )
    try:
        answer = client.call_api(method, url, headers, _request_timeout=timeout_s)
        text = answer.read()  # type: ignore[no-untyped-call]
    except (ApiException, HTTPError, OSError) as error:
        raise NotRead(f"GET {url}: {error}") from error
    if answer.status != HTTPStatus.OK:
        raise NotRead(f"GET {url} said {answer.status}: {text.decode()[:500]}")
    found: Obj = json.loads(text)
    return found


@cache
def _client(kubeconfig: str) -> ApiClient:
    client: ApiClient = new_client_from_config(config_file=kubeconfig)  # type: ignore[no-untyped-call]
    return client
