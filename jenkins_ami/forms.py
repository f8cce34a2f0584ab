"""The forms of what AWS gives names to, and blocks of settings that files of ours share because of them.

``ami.yaml`` and ``environments.yaml`` both name regions, accounts and organizations, and neither of the rooms that read
them may import the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .artifacts import Sharing
from .errors import InputError
from .yamlfile import Fields


@dataclass(frozen=True)
class Form:
    """What a text must look like.

    :ivar pattern: without an end; the whole text has to match
    :ivar what: it is, for people, with its article
    """

    pattern: re.Pattern[str]
    what: str
    example: str

    def fits(self, text: str) -> bool:
        return self.pattern.fullmatch(text) is not None


_PARTITION = "aws[a-z-]*"
_NAMED = r"[A-Za-z0-9()\[\] ./\-'@_]"
"""What RegisterImage and CreateImage accept in a name (EC2 API reference, CreateImage, "Name")."""

REGION = Form(re.compile(r"[a-z]{2,3}(-[a-z]+)+-[0-9]"), "a region", "eu-central-1")
ACCOUNT = Form(re.compile(r"[0-9]{12}"), "an account number", "'123456789012'")
ORGANIZATION = Form(
    re.compile(rf"arn:{_PARTITION}:organizations::[0-9]{{12}}:organization/o-[a-z0-9]{{10,32}}"),
    "the ARN of an organization",
    "arn:aws:organizations::123456789012:organization/o-a1b2c3d4e5",
)
UNIT = Form(
    re.compile(
        rf"arn:{_PARTITION}:organizations::[0-9]{{12}}:ou/o-[a-z0-9]{{10,32}}/ou-[a-z0-9]{{4,32}}-[a-z0-9]{{8,32}}"
    ),
    "the ARN of an organizational unit",
    "arn:aws:organizations::123456789012:ou/o-a1b2c3d4e5/ou-a1b2-c3d4e5f6",
)
OWNER = Form(
    re.compile(r"[0-9]{12}|self|amazon|aws-marketplace|aws-backup-vault"), "an owner of images", "'136693071363'"
)
"""EC2 API reference, DescribeImages, "Owner"."""

URL = Form(re.compile(r"https?://\S+"), "a URL", "http://127.0.0.1:5000")
S3_URL = Form(re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/\S*)?"), "storage", "s3://bucket/prefix")
SUBNET = Form(re.compile(r"subnet-[0-9a-f]+"), "a subnet id", "subnet-0123456789abcdef0")
SECURITY_GROUP = Form(re.compile(r"sg-[0-9a-f]+"), "the id of a security group", "sg-0123456789abcdef0")
INSTANCE_TYPE = Form(re.compile(r"[a-z0-9-]+\.[a-z0-9-]+"), "an instance type", "t3.small")
INSTANCE_PROFILE = Form(re.compile(r"[A-Za-z0-9_+=,.@-]{1,128}"), "the name of an instance profile", "image-build")
ROLE = Form(
    re.compile(rf"arn:{_PARTITION}:iam::[0-9]{{12}}:role/[A-Za-z0-9_+=,.@/-]{{1,576}}"),
    "the ARN of a role",
    "arn:aws:iam::123456789012:role/image-build",
)
EXTERNAL_ID = Form(re.compile(r"[A-Za-z0-9_+=,.@:/-]{2,1224}"), "an external id", "images")
"""STS API reference, AssumeRole, "ExternalId"."""
_KEY = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}"
_ALIAS = r"alias/[A-Za-z0-9/_-]{1,250}"
KMS_KEY = Form(
    re.compile(rf"{_KEY}|{_ALIAS}|arn:{_PARTITION}:kms:[a-z0-9-]+:[0-9]{{12}}:(?:key/(?:{_KEY})|{_ALIAS})"),
    "the id, alias or ARN of a KMS key",
    "alias/images",
)
_OF_IMAGES = r"(?:[A-Za-z0-9_.-]|\{name\}|\{version\})+"
PARAMETER_OF_IMAGES = Form(
    re.compile(rf"/?{_OF_IMAGES}(?:/{_OF_IMAGES})*"), "the name of an SSM parameter", "/images/{name}/{version}"
)
"""With ``{name}`` and ``{version}`` for an image's."""
LAUNCH_TEMPLATE = Form(
    re.compile(r"lt-[0-9a-f]{8,17}|[A-Za-z0-9()./_-]{3,128}"), "the id or name of a launch template", "web-servers"
)

IMAGE_PATTERN = Form(re.compile(rf"(?:{_NAMED}|[*?]){{1,128}}"), "a name of images", "debian-12-amd64-*")
BASE = Form(
    re.compile(
        "ami-(?:[0-9a-f]{8}|[0-9a-f]{17})"
        r"|ssm:/?[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*(?::[A-Za-z0-9_.-]+)?"
        r"|scratch(?::[0-9a-f]{8,64})?"
        rf"|(?!ami-[0-9a-f]*$)(?! +$){_NAMED}{{1,128}}"
    ),
    "a base image",
    "ami-0123456789abcdef0",
)
"""A base as a text: an id, a parameter, scratch, or a name: of an image of one's own, or of another AMI source's."""
BASE_HINT = (
    "Use ami-0123456789abcdef0, ssm:/path/of/a/parameter, scratch, NAME or NAME-1.4.0 of an image of your own, "
    "../FOLDER of another AMI source in the repository, or a mapping with 'name' and 'owners'"
)

NAME = re.compile(rf"{_NAMED}{{1,100}}\Z")
"""An image's name without ``-VERSION-BUILD``, for which some of the 128 characters are kept."""
NAME_HINT = "Use up to 100 letters, digits, spaces and ( ) [ ] . / - ' @ _"
VERSION = re.compile(r"[0-9]+(\.[0-9A-Za-z]+)*\Z")
VERSION_HINT = "Write numbers with dots, like 1.4.0"

DEPRECATION = (1, 3650)
"""Bounds in days: EC2 takes dates of at most ten years from now (EC2 API reference, EnableImageDeprecation)."""

SHARING = {"accounts": ACCOUNT, "organizations": ORGANIZATION, "organizational_units": UNIT}
"""The keys of ``share``, and what they list."""


def region_of(arn: str) -> str:
    """The region in an ARN; empty for what is none."""
    parts = arn.split(":")
    return parts[3] if parts[0] == "arn" and len(parts) > 5 else ""


def is_path(base: str) -> bool:
    """Whether a base is the path of another AMI source in the same repository."""
    return base in (".", "..") or base.startswith(("./", "../"))


def listed(fields: Fields, key: str, form: Form) -> tuple[str, ...]:
    """A list of texts that all have a form.

    :raises InputError: with the place of the first that does not
    """
    texts = fields.texts(key)
    for item in fields.items(key):
        if not form.fits(item.value):
            raise InputError(
                f"'{item.value}' is not {form.what}", where=item.where, hint=f"'{key}' has some like {form.example}"
            )
    return texts


def sharing(fields: Fields, key: str = "share") -> Sharing:
    """``share: {accounts, organizations, organizational_units}``."""
    block = fields.fields(key, key, SHARING)
    accounts, organizations, units = (listed(block, name, form) for name, form in SHARING.items())
    return Sharing(accounts, organizations, units)
