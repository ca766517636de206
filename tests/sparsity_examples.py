"""What the diagnosis says of attention and of tokens, made up, with round numbers."""

from sol.diagnosis import AttentionSparsity, Settling

ATTENTION = AttentionSparsity(
    n_videos=2,
    sizes=(4, 4, 4),
    order="tiles",
    block=16,
    densities=(0.25, 0.5),
    mass=(((0.5, 0.75), (0.9, 1.0)), ((0.25, 0.5), (0.35, 0.6))),
    error={
        "drop": (((0.4, 0.2), (0.1, 0.02)), ((0.6, 0.5), (0.5, 0.3))),
        "mean": (((0.2, 0.1), (0.05, 0.01)), ((0.3, 0.2), (0.25, 0.15))),
    },
    compared_density=0.25,
    overlap={1: (0.95, 0.85), 4: (0.8, 0.7)},
    prompt_overlap=(0.6, 0.5),
    overlap_by_lot=0.1,
)

SETTLING = Settling(
    n_videos=2,
    tau=0.05,
    settled=(0.0, 0.25, 0.6, 1.0),
    change=(0.4, 0.2, 0.04),
    spread=(0.8, 0.3, 0.2),
    settling_step=(((1.0, 2.5), (3.0, 3.0)),),
)
