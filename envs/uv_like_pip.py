"""Run uv with the indexes, certificates and proxy that pip has been told.

uv reads none of pip's settings, yet must ask the index that its user gave to pip. The Python
that runs this must have pip:

    python envs/uv_like_pip.py UV ARGUMENT…
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

# pip has no public command that merges its files, their sections and the environment.
from pip._internal.commands import create_command

PLACES = (
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_NO_INDEX",
)


def config_files(environ: Mapping[str, str]) -> list[Path]:
    """Return where uv looks for settings outside a project."""
    if "UV_CONFIG_FILE" in environ:
        return [Path(environ["UV_CONFIG_FILE"])]
    user = environ.get("XDG_CONFIG_HOME") or "~/.config"
    system = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    folders = [Path(user).expanduser() / "uv", *(Path(folder) / "uv" for folder in system)]
    return [folder / "uv.toml" for folder in (*folders, Path("/etc/uv"))]


def knows_places(environ: Mapping[str, str]) -> bool:
    """Return whether uv was told itself where packages are."""
    if any(environ.get(name) for name in PLACES):
        return True
    files = [path for path in config_files(environ) if path.is_file()]
    return any(re.search("index|find-links", path.read_text(encoding="utf-8")) for path in files)


def like_pip(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for uv: `environ`, and pip's settings where uv has none of its own."""
    options, _ = create_command("install").parse_args([])
    settings = {
        "UV_SYSTEM_CERTS": "1",
        "UV_INSECURE_HOST": " ".join(options.trusted_hosts),
        "SSL_CERT_FILE": options.cert,
        "SSL_CLIENT_CERT": options.client_cert,
        "ALL_PROXY": options.proxy,
    }
    if not knows_places(environ):
        settings |= {
            "UV_DEFAULT_INDEX": options.index_url,
            "UV_INDEX": " ".join(options.extra_index_urls),
            # pip, too, takes the newest version of all indexes.
            "UV_INDEX_STRATEGY": "unsafe-best-match",
            "UV_FIND_LINKS": ",".join(options.find_links),
            "UV_NO_INDEX": "1" if options.no_index else "",
        }
    return {name: value for name, value in settings.items() if value} | dict(environ)


def main() -> None:
    """Become uv."""
    os.execvpe(sys.argv[1], sys.argv[1:], like_pip(os.environ))


if __name__ == "__main__":
    main()
