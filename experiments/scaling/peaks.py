"""What devices can do at most, by their makers' tables: dense products, no sparsity."""

# Operations a second by device kind, as jax names it: (bfloat16, float32). On NVIDIA GPUs from
# Ampere on, and on TPUs, XLA multiplies float32 in a shorter format unless told otherwise
# (TF32, bfloat16); the second number is of that.
_PEAKS = {
    "H200": (989e12, 494e12),
    "H100 PCIe": (756e12, 378e12),
    "H100": (989e12, 494e12),
    "A100": (312e12, 156e12),
    "A10G": (70e12, 35e12),
    "L4": (121e12, 60e12),
    "RTX 4090": (165e12, 82e12),
    "RTX 3090": (71e12, 35e12),
    "V100": (None, 15.7e12),
    "T4": (None, 8.1e12),
    "TPU v6 lite": (918e12, 918e12),
    "TPU v5 lite": (197e12, 197e12),
    "TPU v5": (459e12, 459e12),
    "TPU v4": (275e12, 275e12),
    "TPU v3": (61e12, 61e12),
    "TPU v2": (22e12, 22e12),
}


def peak_flops(device_kind: str, dtype: str) -> float | None:
    """Operations a second of one device in "bfloat16" or "float32"; None where no table says."""
    for name, (bfloat16, float32) in _PEAKS.items():
        if name.lower() in device_kind.lower():
            return bfloat16 if dtype == "bfloat16" else float32
    return None
