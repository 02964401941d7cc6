"""A newer revision that waits for the rollout of a scene to end."""

from unit.cli.objects import NAME, V2, Obj, Scene, digest, spec

from rampway.api import labels

V3 = digest("3")


def queued_behind(scene: Scene, policy: Obj) -> Scene:
    """Return the scene with version 3 named by the spec, waiting for version 2's rollout."""
    waits = f"{NAME}-{V3} (3) waits until rollout {labels.rollout_name(NAME, V2, 1)} has ended"
    said = scene.status
    text = f"{waits}; now {said['reason']}: {said['message']}"
    given = {one["type"]: one | {"observedGeneration": 3} for one in said["conditions"]}
    given["Promoted"] |= {"status": "Unknown", "reason": "Queued", "message": text}
    told = {"observedGeneration": 3, "queued": {"revision": V3, "version": "3"}}
    begun = [one | {"spec": one["spec"] | {"onNewRevision": "Queue"}} for one in scene.rollouts]
    return scene.but(
        rollouts=tuple(begun),
        spec=spec("3", rollout={"policy": policy, "onNewRevision": "Queue"}),
        generation=3,
        status=said | told | {"conditions": list(given.values())},
    )
