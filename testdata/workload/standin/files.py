"""Files that others wait for. Of its own, since a launcher writes one and has no use for a server's imports."""

import os


def publish(path, text):
    """By rename, so that a reader sees all of it or nothing."""
    tmp = f"{path}.{os.getpid()}.tmp"
    with open(tmp, "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(tmp, path)
