"""Models from an S3 store that wants to know who asks: a Secret's keys reach the model's pods."""

import shutil
from collections.abc import Iterator, Mapping
from secrets import token_urlsafe

import pytest
from cluster.bench import Bench, Obj
from cluster.conftest import Calling
from cluster.storehouse import storehouse
from cluster.subject import Subject

pytestmark = pytest.mark.cluster

BUCKET = "models"
SECRET = "model-store"  # noqa: S105 - its name
WITHIN_S = 120.0
"""How long the kubelet may take to look for a Secret again, or to start a pod anew."""


@pytest.fixture(scope="module")
def keys(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """What a Secret must hold for a store that has the small models a and b in its bucket."""
    folder = tmp_path_factory.mktemp("store")
    (folder / BUCKET).mkdir()
    for name in ("a", "b"):
        shutil.copy(bench.holdout.with_name(bench.models[name].file), folder / BUCKET)
    with storehouse(bench, folder, token_urlsafe(24)) as found:
        yield found


def put_secret(subject: Subject, keys: Mapping[str, str]) -> None:
    """Make the Secret, as a user does."""
    meta = {"name": SECRET, "namespace": subject.namespace}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": keys}
    subject.bench.kube.apply(secret)


def uri(subject: Subject, model: str) -> str:
    """Return where the store has a model."""
    return f"s3://{BUCKET}/{subject.bench.models[model].file}"


def manifest(subject: Subject, model: str) -> Obj:
    """Return the ModelDeployment of a model in the store."""
    made = subject.manifest(model)
    made["spec"]["model"] |= {"uri": uri(subject, model), "auth": {"secretRef": {"name": SECRET}}}
    return made


def told(subject: Subject, words: str) -> None:
    """Wait until the status' message has these words; nothing is ready then."""
    subject.until(
        lambda: words in str(subject.status().get("message", "")), f"{words!r} in the message"
    )
    assert subject.condition("Ready")["status"] == "False"


def test_a_model_is_served_from_a_store_that_asks_for_keys(
    subject: Subject, keys: Mapping[str, str], calling: Calling
) -> None:
    """With the Secret there the model is fetched, served, and rolled over to the next."""
    put_secret(subject, keys)
    subject.put(manifest(subject, "a"))
    subject.promoted()
    first = subject.stable()
    with calling() as caller:
        subject.put(manifest(subject, "b"))
        subject.promoted()
    second = subject.stable()
    assert caller.revisions() == {f"{subject.name}-{first}", f"{subject.name}-{second}"}
    assert not caller.failed()
    (pod,) = subject.pods(second)
    container = next(c for c in pod["spec"]["containers"] if c["name"] == "server")
    assert {"secretRef": {"name": SECRET}} in container["envFrom"]
    assert keys["AWS_SECRET_ACCESS_KEY"] not in str([pod, subject.object()])


def test_b28_a_secret_that_is_not_there_is_told(subject: Subject, keys: Mapping[str, str]) -> None:
    """B28: the kubelet's words are in the status; once the Secret is made the model is served."""
    subject.put(manifest(subject, "a"))
    told(subject, f'secret "{SECRET}" not found')
    put_secret(subject, keys)
    subject.promoted(WITHIN_S)


def test_b28_a_wrong_key_is_told_in_the_stores_words(
    subject: Subject, keys: Mapping[str, str]
) -> None:
    """B28: the store's refusal is in the status, and no key; with the right one it is served."""
    wrong = token_urlsafe(24)
    put_secret(subject, {**keys, "AWS_SECRET_ACCESS_KEY": wrong})
    subject.put(manifest(subject, "a"))
    told(subject, f"model store refused {uri(subject, 'a')}: 403 Forbidden")
    assert wrong not in str(subject.object())
    put_secret(subject, keys)
    # A running pod's variables stay as they were: a pod that starts now has the new ones.
    subject.bench.kube("delete", "pods", "-n", subject.namespace, "-l", subject.label())
    subject.promoted(WITHIN_S)
