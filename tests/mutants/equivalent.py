"""Drawn faults that are none: the program does the same, so no test can see them.

Each is (file, old text, new text as the operator writes it, why).
"""

SAME: tuple[tuple[str, str, str, str], ...] = (
    ("src/training/agreement.py", "time.sleep(0.1)", "pass", "waits busily"),
    ("src/batches/triplets.py", "embeddings.wait_to_read()", "pass", "for the clock alone"),
    ("src/data/facts.py", "progress=progress)", "num_threads=num_threads)", "a bar less"),
    ("src/data/facts.py", "num_threads=num_threads", "judge, progress=progress)", "other threads"),
    ("src/eval/ijb_lists.py", "ndmin=2", "ndmin=3", "read line by line, more slowly"),
    ("src/data/repair.py", "gather(folder, progress=progress)", "gather(folder)", "a bar less"),
    ("src/batches/order.py", "-1, np.empty(0", "-1, np.empty(1", "a place that is never read"),
    (
        "src/training/memory.py", "accumulates=accumulates", "training=True)",
        "it counts where one of our operators reads an input, and no network begins so",
    ),
    (
        "src/training/pretrained.py", "differing <= head_parameters()",
        "differing < head_parameters()", "no head has the parameters of all heads",
    ),
    (
        "src/data/list_faults.py", "num_listed > 0", "num_listed >= 0",
        "of nothing listed less than nothing is never found",
    ),
    (
        "src/losses/sphereface.py", "cosine < math.cos", "cosine <= math.cos",
        "both branches give the same value at their border",
    ),
)  # fmt: skip
