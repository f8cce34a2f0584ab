"""Block device mappings as the AWS command line takes them: its shorthand, or JSON.

``DeviceName=/dev/xvda,Ebs={VolumeSize=10,VolumeType=gp3} DeviceName=/dev/sdb,NoDevice=""`` (AWS CLI User Guide, "Using
shorthand syntax"); several are separated by blanks. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..yamlfile import did_you_mean, kind_of

_EBS: dict[str, type] = {
    "DeleteOnTermination": bool,
    "Encrypted": bool,
    "Iops": int,
    "KmsKeyId": str,
    "SnapshotId": str,
    "Throughput": int,
    "VolumeInitializationRate": int,
    "VolumeSize": int,
    "VolumeType": str,
}
_MAPPING: dict[str, Any] = {"DeviceName": str, "Ebs": _EBS, "NoDevice": str, "VirtualName": str}
"""Keys of RunInstances (EC2 API reference, BlockDeviceMapping and EbsBlockDevice), and what they take."""

_WORD = re.compile(r"[A-Za-z]+")
_BARE = re.compile(r"[^\s,{}\[\]'\"]*")


def read(text: str) -> tuple[Mapping[str, Any], ...]:
    """The mappings as RunInstances has them.

    :raises ValueError: with what is wrong
    """
    text = text.strip()
    try:
        found = json.loads(text) if text.startswith(("[", "{")) else _Shorthand(text).mappings()
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    found = found if isinstance(found, list) else [found]
    return tuple(_checked(each, _MAPPING, "a mapping") for each in found)


class _Shorthand:
    """A reader of the shorthand, which knows where it is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def mappings(self) -> list[dict[str, Any]]:
        found = []
        while self.at < len(self.text):
            found.append(self._pairs())
            if self.at < len(self.text) and not self.text[self.at].isspace():
                raise self._refuse("a comma or a blank")
            while self.at < len(self.text) and self.text[self.at].isspace():
                self.at += 1
        return found

    def _pairs(self) -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        while True:
            match = _WORD.match(self.text, self.at)
            if match is None:
                raise self._refuse("a key")
            self.at = match.end()
            if not self._skip("="):
                raise self._refuse("'='")
            if match[0] in pairs:
                raise ValueError(f"'{match[0]}' is given twice")
            pairs[match[0]] = self._value()
            if not self._skip(","):
                return pairs

    def _value(self) -> Any:
        if self._skip("{"):
            pairs = self._pairs()
            if not self._skip("}"):
                raise self._refuse("'}'")
            return pairs
        for quote in ("'", '"'):
            if self._skip(quote):
                end = self.text.find(quote, self.at)
                if end < 0:
                    raise self._refuse(f"a closing {quote}", len(self.text))
                value, self.at = self.text[self.at : end], end + 1
                return value
        match = _BARE.match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        return match[0]

    def _skip(self, char: str) -> bool:
        found = self.text.startswith(char, self.at)
        self.at += len(char) if found else 0
        return found

    def _refuse(self, wanted: str, at: int | None = None) -> ValueError:
        return ValueError(f"at character {(self.at if at is None else at) + 1} there should be {wanted}")


def _checked(value: Any, known: Mapping[str, Any], what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is {kind_of(value)}")
    for key in value:
        if key not in known:
            raise ValueError(f"{what} has no key '{key}'. {did_you_mean(key, known)}")
    if known is _MAPPING and not value.get("DeviceName"):
        raise ValueError(f"{what} lacks 'DeviceName'")
    return {
        key: _checked(each, known[key], f"'{key}'") if isinstance(known[key], dict) else _typed(key, each, known[key])
        for key, each in value.items()
    }


def _typed(key: str, value: Any, kind: type) -> Any:
    if kind is bool and str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    if kind is int and not isinstance(value, bool) and re.fullmatch(r"[0-9]{1,9}", str(value)):
        return int(value)
    if kind is str and isinstance(value, str):
        return value
    wanted = {bool: "true or false", int: "a whole number", str: "a text"}[kind]
    raise ValueError(f"'{key}' is '{value}', not {wanted}")
