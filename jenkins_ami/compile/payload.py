"""The user-data: the merged cloud-config as YAML, gzipped, and the decision whether the overlay fits inside.

What counts against EC2's limit is the final payload, not the overlay alone: gzip takes back nearly all that base64
costs, so an overlay of up to about 15.8 KB fits.
"""

from __future__ import annotations

import gzip
from typing import Any


def cloud_config_text(config: dict[str, Any]) -> str:
    """The cloud-config document: keys in the order of the merge, texts of several lines as blocks."""
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        def ignore_aliases(self, _data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    body = yaml.dump(config, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=2**20, default_flow_style=False)
    return f"#cloud-config\n{body}"


def compress(text: str) -> bytes:
    """gzip without a time stamp or name; cloud-init undoes it (``cloudinit.util.decomp_gzip``)."""
    return gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0)
