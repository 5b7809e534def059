"""Files that people take for weights and that hold none, or a part of them: each said by name."""

import json
import pathlib
import re

_LFS = b"version https://git-lfs.github.com/spec/"
_SHARD = re.compile(r"[-_.](\d+)-of-(\d+)\b")  # model-00001-of-00003.safetensors
_ELSE = {
    b"PK": "a zip that is cut off; download it again",
    b"\x1f\x8b": "compressed by gzip; unpack it first",
    b"BZh": "compressed by bzip2; unpack it first",
    b"\xfd7zXZ": "compressed by xz; unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it first",
    b"7z\xbc\xaf": "an archive of 7-Zip; unpack it first",
    b"\x89HDF": "an HDF5 file, as Keras writes; save the weights as .npz instead",
}
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def shard(path: pathlib.Path) -> str | None:
    """What to say of a file whose name calls it one of several; None of any other."""
    match = _SHARD.search(path.name)
    if match is None or int(match[2]) < 2:
        return None
    return (
        f"{path} is one shard of {int(match[2])}: it holds a part of the weights only. Save all of "
        "them in one file where they were written, and convert that"
    )


def stranger(path: pathlib.Path, head: bytes) -> str:
    """What a file of no known format looks like by its first bytes; "" where nothing is known."""
    if head.startswith(_LFS):
        return (
            f"a Git-LFS pointer{_lfs_size(path)}, not the file that it stands for; run "
            "`git lfs pull` where it was cloned, or download the file itself"
        )
    text = head
    for bom in _BOMS:
        text = text.removeprefix(bom)
    text = text.replace(b"\0", b"").lstrip()
    if text[:1] == b"<":
        return "a web page, not the file behind it; open it in a browser to see what it says"
    if text[:1] in (b"{", b"["):
        return _json(path)
    return next((what for start, what in _ELSE.items() if head.startswith(start)), "")


def _lfs_size(path):
    match = re.search(rb"^size (\d+)$", path.read_bytes()[:1024], re.MULTILINE)
    return f" to {int(match[1]):,} bytes" if match else ""


def _json(path):
    try:
        value = json.loads(path.read_bytes())
    except ValueError:
        return "text that begins like JSON, no weights"
    if not isinstance(value, dict):
        return "JSON, no weights"
    shards = value.get("weight_map")
    if isinstance(shards, dict):
        files = sorted({str(name) for name in shards.values()})
        return (
            f"the index of {len(files)} shards ({', '.join(files[:3])}"
            f"{', ..' if len(files) > 3 else ''}), no weights. Save all of them in one file where "
            "they were written, and convert that"
        )
    return f"JSON, no weights; it holds {', '.join(map(repr, list(value)[:5])) or 'nothing'}"
