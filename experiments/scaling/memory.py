"""The most memory that a compiled function took."""


def peak_memory(device, compiled) -> tuple[int, str]:
    """Bytes, and who says so.

    "device": the most in use on the device since its process began. "compiler", where the device
    keeps no such count: arguments, results and temporaries of the one function.
    """
    stats = device.memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"], "device"
    memory = compiled.memory_analysis()
    parts = memory.argument_size_in_bytes + memory.output_size_in_bytes
    return parts + memory.temp_size_in_bytes - memory.alias_size_in_bytes, "compiler"
