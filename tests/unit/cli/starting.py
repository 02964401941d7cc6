"""A candidate that does not come up, beside a stable with a trouble of its own, and an old one."""

from unit.cli.objects import V1, V2, Scene, ago, digest, pod, rollout, route, spec, status, workload

_LOOPS = "the model cannot be read: no module named torch"
crash_looping = Scene(
    spec=spec("2"),
    generation=2,
    status=status(
        "Progressing",
        "CandidateStarting",
        f"0 of 1 candidate pods ready: {_LOOPS}",
        "Unknown",
        generation=2,
        candidate={"revision": V2, "version": "2", "readyReplicas": 0},
        step="0/3",
    ),
    rollouts=(
        rollout(
            phase="Starting",
            reason="CandidateStarting",
            message=f"0 of 1 candidate pods ready: {_LOOPS}",
            unreadySince=ago(290),
        ),
    ),
    workloads=(
        workload("1", 3, promoted_s=7200),
        workload("2", 1),
        workload("0", 1, promoted_s=9000),
    ),
    pods=(
        pod(V1, 0),
        pod(V1, 1),
        pod(V1, 2, waiting=("ErrImagePull", "model-server:8 was not found")),
        pod(V2, 0, waiting=("CrashLoopBackOff", "back-off 40s"), crashed=_LOOPS),
        pod(digest("0"), 0),
    ),
    route=route(),
)
