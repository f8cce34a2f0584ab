"""Bad ``ami.env`` and ``ami.yaml`` files, and the whole line that each one gets."""

from __future__ import annotations

from collections.abc import Mapping

Files = Mapping[str, str | bytes | None]
"""Contents by path; ``None``: the file that is always there is not."""
Table = dict[str, tuple[Files | str, ...]]
"""What it is about: the files, and the errors in their order. ``{src}`` stands for the AMI source."""

EC2 = "Use up to 100 letters, digits, spaces and ( ) [ ] . / - ' @ _"
FORMS = (
    "Use ami-0123456789abcdef0, ssm:/path/of/a/parameter, scratch, NAME or NAME-1.4.0 of an image of your own, "
    "../FOLDER of another AMI source in the repository, or a mapping with 'name' and 'owners'."
)
KEYS = (
    "name, version, base, description, architecture, instance_types, volume_size, spot, image, storage, tags, "
    "tests, timeouts, parameters, merge, strict, overlay, checks, jobs"
)
KNOWN = ", ".join(sorted(KEYS.split(", ")))


def env(text: str | bytes) -> Files:
    return {"ami.env": text}


def settings(text: str | bytes) -> Files:
    return {"ami.yaml": text}


AMI_ENV: Table = {
    "neither ami.env nor ami.yaml": (
        {"ami.env": None},
        (
            "no ami.env and no ami.yaml: this is not an AMI source ({src}). "
            "Write ami.env with NAME=, VERSION= and BASE=."
        ),
    ),
    "NAME is missing": (env("VERSION=1\nBASE=x\n"), "NAME is missing ({src}/ami.env). Add a line NAME=."),
    "VERSION is missing": (env("NAME=x\nBASE=x\n"), "VERSION is missing ({src}/ami.env). Add a line VERSION=."),
    "BASE is missing": (env("NAME=x\nVERSION=1\n"), "BASE is missing ({src}/ami.env). Add a line BASE=."),
    "all three are missing": (
        env("# nothing\n"),
        "NAME is missing ({src}/ami.env). Add a line NAME=.",
        "VERSION is missing ({src}/ami.env). Add a line VERSION=.",
        "BASE is missing ({src}/ami.env). Add a line BASE=.",
    ),
    "lower-case names are other names": (
        env("name=x\nVERSION=1\nBASE=x\n"),
        "NAME is missing ({src}/ami.env). Add a line NAME=.",
    ),
    "NAME is empty": (env("NAME=\nVERSION=1\nBASE=x\n"), "NAME is empty ({src}/ami.env:1:1). Give it a value."),
    "NAME is empty in quotes": (
        env("NAME=''\nVERSION=1\nBASE=x\n"),
        "NAME is empty ({src}/ami.env:1:1). Give it a value.",
    ),
    "NAME with a character that EC2 refuses": (
        env("VERSION=1\nBASE=x\nNAME='a*b'\n"),
        "EC2 refuses the image name 'a*b' ({src}/ami.env:3:1). " + EC2 + ".",
    ),
    "NAME in Cyrillic": (
        env("NAME=сервер\nVERSION=1\nBASE=x\n"),
        "EC2 refuses the image name 'сервер' ({src}/ami.env:1:1). " + EC2 + ".",
    ),
    "NAME of 101 characters": (
        env(f"NAME={'x' * 101}\nVERSION=1\nBASE=x\n"),
        "EC2 refuses the image name of 101 characters ({src}/ami.env:1:1). " + EC2 + ".",
    ),
    "VERSION is a word": (
        env("NAME=a\nVERSION=latest\nBASE=x\n"),
        "'latest' is no version ({src}/ami.env:2:1). Write numbers with dots, like 1.4.0.",
    ),
    "VERSION with a v": (
        env("NAME=a\nVERSION=v1.0\nBASE=x\n"),
        "'v1.0' is no version ({src}/ami.env:2:1). Write numbers with dots, like 1.4.0.",
    ),
    "VERSION with a dash": (
        env("NAME=a\nVERSION=1.0-rc1\nBASE=x\n"),
        "'1.0-rc1' is no version ({src}/ami.env:2:1). Write numbers with dots, like 1.4.0.",
    ),
    "NAME, VERSION wrong and BASE missing": (
        env("NAME=a*b\nVERSION=latest\n"),
        "BASE is missing ({src}/ami.env). Add a line BASE=.",
        "EC2 refuses the image name 'a*b' ({src}/ami.env:1:1). " + EC2 + ".",
        "'latest' is no version ({src}/ami.env:2:1). Write numbers with dots, like 1.4.0.",
    ),
    "spaces around the equals sign": (
        env("NAME = web\nVERSION=1\nBASE=x\n"),
        "not an assignment: NAME = web ({src}/ami.env:1:1). Write NAME=value, without spaces around '='.",
    ),
    "a line that is no assignment": (
        env("NAME=web\nVERSION=1\nBASE=x\n  echo done\n"),
        "not an assignment: echo done ({src}/ami.env:4:3). Write NAME=value, without spaces around '='.",
    ),
    "a name that no shell takes": (
        env("NAME=web\nVERSION=1\nBASE=x\nMY-NAME=1\n"),
        "not an assignment: MY-NAME=1 ({src}/ami.env:4:1). Write NAME=value, without spaces around '='.",
    ),
    "a value with a space": (
        env("NAME=web server\nVERSION=1\nBASE=x\n"),
        "'server' after the value ({src}/ami.env:1:10). Quote a value that contains spaces.",
    ),
    "a single quote that is not closed": (
        env("NAME='web\nVERSION=1\nBASE=x\n"),
        "a quote is not closed on its line ({src}/ami.env:1:6). Close it with '.",
    ),
    "a double quote that is not closed": (
        env('NAME="web\nVERSION=1\nBASE=x\n'),
        'a quote is not closed on its line ({src}/ami.env:1:6). Close it with ".',
    ),
    "a typographic quote": (
        env("NAME=“web server”\nVERSION=1\nBASE=x\n"),
        (
            "'server”' after the value ({src}/ami.env:1:11). "
            "Quote a value that contains spaces with \" or ': a shell knows no other quotes."
        ),
    ),
    "a command substitution": (
        env("NAME=web\nVERSION=$(git describe)\nBASE=x\n"),
        (
            "'$' begins something that only a shell can do ({src}/ami.env:2:9). "
            "Write the value itself, or quote with ''."
        ),
    ),
    "backticks": (
        env("NAME=web\nVERSION=`git describe`\nBASE=x\n"),
        ("'`' is for a shell, and this is read without one ({src}/ami.env:2:9). Quote it if it belongs to the value."),
    ),
    "backticks in double quotes": (
        env('NAME=web\nVERSION="`git describe`"\nBASE=x\n'),
        "a backtick would run a command ({src}/ami.env:2:10). Write the value itself.",
    ),
    "a variable that nobody assigned": (
        env("NAME=web-$BRANCH\nVERSION=1\nBASE=x\n"),
        "$BRANCH is not assigned above ({src}/ami.env:1:10). Assign it first, or write the value itself.",
    ),
    "a variable that is assigned further down": (
        env("NAME=${TEAM}-web\nTEAM=a\nVERSION=1\nBASE=x\n"),
        "$TEAM is not assigned above ({src}/ami.env:1:6). Assign it first, or write the value itself.",
    ),
    "a default of a variable": (
        env("NAME=${TEAM:-web}\nVERSION=1\nBASE=x\n"),
        (
            "'$' begins something that only a shell can do ({src}/ami.env:1:6). "
            "Write the value itself, or quote with ''."
        ),
    ),
    "two commands on a line": (
        env("NAME=web; VERSION=1\nBASE=x\n"),
        ("';' is for a shell, and this is read without one ({src}/ami.env:1:9). Quote it if it belongs to the value."),
    ),
    "a redirection": (
        env("NAME=web>x\nVERSION=1\nBASE=x\n"),
        ("'>' is for a shell, and this is read without one ({src}/ami.env:1:9). Quote it if it belongs to the value."),
    ),
    "a backslash at the end of a line": (
        env("NAME=web\\\nVERSION=1\nBASE=x\n"),
        "a value cannot go on in the next line ({src}/ami.env:1:9). Write it on one line.",
    ),
    "an array": (
        env("NAME=(a b)\nVERSION=1\nBASE=x\n"),
        ("'(' is for a shell, and this is read without one ({src}/ami.env:1:6). Quote it if it belongs to the value."),
    ),
    "not UTF-8": (
        env(b"NAME=web\nVERSION=1\nBASE=caf\xe9\n"),
        "not UTF-8 text ({src}/ami.env:3:9). Save the file as UTF-8.",
    ),
    "UTF-16, as Notepad saves it": (
        env("NAME=web\nVERSION=1\nBASE=x\n".encode("utf-16")),
        "UTF-16, not UTF-8 text ({src}/ami.env:1). Save the file as UTF-8.",
    ),
    "a byte order mark": (
        env(b"\xef\xbb\xbfNAME=web\nVERSION=1\nBASE=x\n"),
        "the file begins with a byte order mark ({src}/ami.env:1:1). Save it as UTF-8 without one (BOM).",
    ),
    "a NUL character": (
        env("NAME=web\nVERSION=1\nBASE=x\nMORE=a\0b\n"),
        "character U+0000 is not allowed ({src}/ami.env:4:7). Remove it.",
    ),
    "a secret": (
        env("NAME=web\nVERSION=1\nBASE=x\nDB_PASSWORD=hunter2hunter2\n"),
        (
            "'DB_PASSWORD' with its value in clear ({src}/ami.env:4:1). "
            "Fetch it at run time, or allow it by 'checks: {allow_secrets: [ami.env]}' in ami.yaml."
        ),
    ),
    "UTF-16 without a byte order mark": (
        env("NAME=web\nVERSION=1\nBASE=x\n".encode("utf-16-le")),
        "character U+0000 is not allowed ({src}/ami.env:1:2). Remove it.",
    ),
    "a line that a terminal would obey": (
        env("NAME=web\nVERSION=1\nBASE=x\n\x1b[2Jhello\n"),
        "character U+001B is not allowed ({src}/ami.env:4:1). Remove it.",
    ),
    "a space that is none": (
        env("NAME=web\nVERSION=1\u00a01\nBASE=x\n"),
        "'1\\xa01' is no version ({src}/ami.env:2:1). Write numbers with dots, like 1.4.0.",
    ),
}
"""ami.env: shell assignments that are read without a shell."""

AMI_YAML: Table = {
    "a list": (
        settings("- name: web\n"),
        "ami.yaml is a list, not a mapping ({src}/ami.yaml:1:1). Its keys: " + KEYS + ".",
    ),
    "a text": (settings("name\n"), "ami.yaml is a text, not a mapping ({src}/ami.yaml:1:1). Its keys: " + KEYS + "."),
    "not YAML": (
        settings("tags: {a: b\n"),
        (
            "invalid YAML: did not find expected ',' or '}' (while parsing a flow mapping from line 1) "
            "({src}/ami.yaml:2:1)."
        ),
    ),
    "a tab": (
        settings("tags:\n\tteam: web\n"),
        "invalid YAML: a tab begins or indents a value ({src}/ami.yaml:2:1). Indent with spaces.",
    ),
    "a key twice": (
        settings("description: a\ndescription: b\n"),
        (
            "key 'description' is given twice, first in line 1 ({src}/ami.yaml:2:1). "
            "YAML readers keep only the last; remove one, or merge the two."
        ),
    ),
    "two documents": (
        settings("description: a\n---\ndescription: b\n"),
        "a second document begins here ({src}/ami.yaml:2:1). Put it into a file of its own.",
    ),
    "an unknown key": (
        settings("descriptoin: x\n"),
        "ami.yaml has no key 'descriptoin' ({src}/ami.yaml:1:1). Did you mean 'description'.",
    ),
    "an unknown key that nothing resembles": (
        settings("foo: x\n"),
        "ami.yaml has no key 'foo' ({src}/ami.yaml:1:1). Known: " + KNOWN + ".",
    ),
    "three unknown keys": (
        settings("foo: x\nbar: y\ndescriptoin: z\n"),
        "ami.yaml has no key 'foo' ({src}/ami.yaml:1:1). Known: " + KNOWN + ".",
        "ami.yaml has no key 'bar' ({src}/ami.yaml:2:1). Known: " + KNOWN + ".",
        "ami.yaml has no key 'descriptoin' ({src}/ami.yaml:3:1). Did you mean 'description'.",
    ),
    "a key that is no text": (
        settings("1: x\n"),
        "ami.yaml has no key '1' ({src}/ami.yaml:1:1). Known: " + KNOWN + ".",
    ),
    "not UTF-8": (settings(b"description: caf\xe9\n"), "not UTF-8 text ({src}/ami.yaml:1:17). Save the file as UTF-8."),
    "a control character": (
        settings("description: a\x07b\n"),
        "character U+0007 is not allowed in YAML ({src}/ami.yaml:1:15). Remove it.",
    ),
    "another name than ami.env": (
        settings("name: other\n"),
        "name is 'other' here and 'test' in {src}/ami.env:1:1 ({src}/ami.yaml:1:7). Say it in one of the two.",
    ),
    "another version than ami.env": (
        settings("version: '2.0'\n"),
        "version is '2.0' here and '1.0' in {src}/ami.env:2:1 ({src}/ami.yaml:1:10). Say it in one of the two.",
    ),
    "a version without quotes": (
        settings("version: 1.10\n") | env("NAME=a\nBASE=b\n"),
        "'version' is a number, not a text ({src}/ami.yaml:1:10). Put it in quotes.",
    ),
    "a version that YAML takes for a date": (
        settings("version: 2024-05-01\n") | env("NAME=a\nBASE=b\n"),
        "'version' is a date, not a text ({src}/ami.yaml:1:10). Put it in quotes.",
    ),
    "everything missing without ami.env": (
        settings("description: x\n") | {"ami.env": None},
        "NAME is missing ({src}/ami.yaml). Add a line name:.",
        "VERSION is missing ({src}/ami.yaml). Add a line version:.",
        "BASE is missing ({src}/ami.yaml). Add a line base:.",
    ),
    "name is a number": (
        settings("name: 5\n") | env("VERSION=1\nBASE=b\n"),
        "'name' is a whole number, not a text ({src}/ami.yaml:1:7). Put it in quotes.",
    ),
    "name is a list": (
        settings("name: [web]\n") | env("VERSION=1\nBASE=b\n"),
        "'name' is a list, not a text ({src}/ami.yaml:1:7).",
    ),
    "base is empty": (
        settings("base: ''\n") | env("NAME=a\nVERSION=1\n"),
        "BASE is empty ({src}/ami.yaml:1:7). Give it a value.",
    ),
    "description is a list": (
        settings("description: [a]\n"),
        "'description' is a list, not a text ({src}/ami.yaml:1:14).",
    ),
    "description is a number": (
        settings("description: 5\n"),
        "'description' is a whole number, not a text ({src}/ami.yaml:1:14). Put it in quotes.",
    ),
    "architecture that is none": (
        settings("architecture: i386\n"),
        "there is no architecture 'i386' ({src}/ami.yaml:1:15). Use x86_64 or arm64.",
    ),
    "architecture is a list": (
        settings("architecture: [x86_64]\n"),
        "'architecture' is a list, not a text ({src}/ami.yaml:1:15).",
    ),
    "instance_types is a text": (
        settings("instance_types: t3.small\n"),
        "'instance_types' is a text, not a list ({src}/ami.yaml:1:17). Write [ ] around it, or '- ' before it.",
    ),
    "instance_types with a number": (
        settings("instance_types: [t3.small, 5]\n"),
        "'instance_types' has an entry that is a whole number, not a text ({src}/ami.yaml:1:28).",
    ),
    "volume_size in quotes": (
        settings("volume_size: '10'\n"),
        "'volume_size' is a text, not a whole number ({src}/ami.yaml:1:14). Write digits only, without quotes.",
    ),
    "volume_size with a unit": (
        settings("volume_size: 10G\n"),
        "'volume_size' is a text, not a whole number ({src}/ami.yaml:1:14). Write digits only, without quotes.",
    ),
    "volume_size is zero": (
        settings("volume_size: 0\n"),
        "'volume_size' is 0, not between 1 and 16384 ({src}/ami.yaml:1:14).",
    ),
    "volume_size is true": (
        settings("volume_size: true\n"),
        "'volume_size' is true or false, not a whole number ({src}/ami.yaml:1:14).",
    ),
    "tags is a list": (settings("tags: [team]\n"), "'tags' is a list, not a mapping ({src}/ami.yaml:1:7)."),
    "a tag that is a number": (
        settings("tags: {cost-center: 4711}\n"),
        "'cost-center' of 'tags' is a whole number, not a text ({src}/ami.yaml:1:21). Put it in quotes.",
    ),
    "a tag whose key is a number": (
        settings("tags: {1: x}\n"),
        "'tags' has the key 1, which is a whole number, not a text ({src}/ami.yaml:1:8). Put it in quotes.",
    ),
    "a tag that is a mapping": (
        settings("tags: {a: {b: c}}\n"),
        "'a' of 'tags' is a mapping, not a text ({src}/ami.yaml:1:11).",
    ),
    "an empty tag": (
        settings("tags: {team: }\n"),
        "'team' of 'tags' is empty, not a text ({src}/ami.yaml:1:14). Write \"\" for an empty text.",
    ),
    "five wrong values are all told": (
        settings("architecture: i386\nvolume_size: 0\ntags: []\nmerge: {scalars: maybe}\nstrict: 5\n"),
        "there is no architecture 'i386' ({src}/ami.yaml:1:15). Use x86_64 or arm64.",
        "'volume_size' is 0, not between 1 and 16384 ({src}/ami.yaml:2:14).",
        "'tags' is a list, not a mapping ({src}/ami.yaml:3:7).",
        "'scalars' is 'maybe' ({src}/ami.yaml:4:18). Use error, first or last.",
        "'strict' is a whole number, not true or false ({src}/ami.yaml:5:9).",
    ),
}
"""ami.yaml as a document."""

BLOCKS: Table = {
    "base with a wildcard": (
        settings("base: debian-12-*\n") | env("NAME=a\nVERSION=1\n"),
        "'debian-12-*' is not a base image ({src}/ami.yaml:1:7). " + FORMS,
    ),
    "base is an id with a digit too few": (
        env("NAME=a\nVERSION=1\nBASE=ami-0123456789abcde\n"),
        "'ami-0123456789abcde' is not a base image ({src}/ami.env:3:1). " + FORMS,
    ),
    "base without owners": (
        settings("base:\n  name: debian-12-*\n") | env("NAME=a\nVERSION=1\n"),
        "base lacks 'owners' ({src}/ami.yaml:2:3). Add whose images count: anybody can publish an image of that name.",
    ),
    "base with an unknown owner": (
        settings("base: {name: a, owners: [self, debian]}\n") | env("NAME=a\nVERSION=1\n"),
        "'debian' is not an owner of images ({src}/ami.yaml:1:32). 'owners' has some like '136693071363'.",
    ),
    "base is a mapping, and BASE is in ami.env": (
        settings("base: {name: a, owners: [self]}\n"),
        "base is a mapping here and 'scratch' in {src}/ami.env:3:1 ({src}/ami.yaml:1:7). Say it in one of the two.",
    ),
    "base with the name of an image that EC2 does not allow": (
        settings("base: {name: 'a:b', owners: [self]}\n") | env("NAME=a\nVERSION=1\n"),
        (
            "'a:b' is not a name of images ({src}/ami.yaml:1:14). "
            "Use what EC2 allows in one, with * and ? as wildcards, like debian-12-amd64-*."
        ),
    ),
    "image to a region that is none": (
        settings("image:\n  regions: [Ireland]\n"),
        "'Ireland' is not a region ({src}/ami.yaml:2:13). 'regions' has some like eu-central-1.",
    ),
    "image is deprecated at once": (
        settings("image: {deprecate_after: 0}\n"),
        "'deprecate_after' is 0, not between 1 and 3650 ({src}/ami.yaml:1:26).",
    ),
    "image with another IMDS": (
        settings("image: {imds: v1}\n"),
        "'imds' is 'v1' ({src}/ami.yaml:1:15). Use v2.0 or any.",
    ),
    "image with another boot mode": (
        settings("image: {boot_mode: bios}\n"),
        "'boot_mode' is 'bios' ({src}/ami.yaml:1:20). Use legacy-bios, uefi or uefi-preferred.",
    ),
    "image for an account without quotes": (
        settings("image: {share: {accounts: [123456789012]}}\n"),
        "'accounts' has an entry that is a whole number, not a text ({src}/ami.yaml:1:28).",
    ),
    "image for an organization by its id": (
        settings("image: {share: {organizations: [o-a1b2c3d4e5]}}\n"),
        (
            "'o-a1b2c3d4e5' is not the ARN of an organization ({src}/ami.yaml:1:33). "
            "'organizations' has some like arn:aws:organizations::123456789012:organization/o-a1b2c3d4e5."
        ),
    ),
    "image with a slip": (
        settings("image: {encrypt: true}\n"),
        "image has no key 'encrypt' ({src}/ami.yaml:1:9). Did you mean 'encrypted'.",
    ),
    "no image is kept": (
        settings("image: {retention: {images: 0}}\n"),
        "'images' is 0, not between 1 and 10000 ({src}/ami.yaml:1:29).",
    ),
    "environments.yaml is no YAML": (
        {"environments.yaml": "a: [\n"},
        "invalid YAML: did not find expected node content (while parsing a flow node) ({src}/environments.yaml:2:1).",
    ),
    "storage without a scheme": (
        settings("storage: bucket\n"),
        "'bucket' is no storage ({src}/ami.yaml:1:10). Use s3://bucket/prefix or https://host/path/.",
    ),
    "storage with a bucket that S3 does not allow": (
        settings("storage: s3://My_Bucket/x\n"),
        (
            "'s3://My_Bucket/x' is no storage ({src}/ami.yaml:1:10). "
            "A bucket's name has 3 to 63 lower-case letters, digits, dots and dashes, a prefix no spaces."
        ),
    ),
    "storage by plain HTTP": (
        settings("storage: http://files.example.org/\n"),
        (
            "'http://files.example.org/' is no storage ({src}/ami.yaml:1:10). "
            "Use s3://bucket/prefix or https://host/path/."
        ),
    ),
    "storage by HTTPS without a path": (
        settings("storage: https://files.example.org\n"),
        ("'https://files.example.org' is no storage ({src}/ami.yaml:1:10). Use https://host/path, escaped with %XX."),
    ),
    "storage by HTTPS with a space": (
        settings("storage: 'https://files.example.org/a b/'\n"),
        (
            "'https://files.example.org/a b/' is no storage ({src}/ami.yaml:1:10). "
            "Use https://host/path, escaped with %XX."
        ),
    ),
    "storage is a list": (
        settings("storage: [s3://bucket/x]\n"),
        "'storage' is a list, not a text ({src}/ami.yaml:1:10).",
    ),
    "storage with an unknown access": (
        settings("storage: {url: s3://bucket/x, access: public}\n"),
        "'access' is 'public' ({src}/ami.yaml:1:39). Use presigned or profile.",
    ),
    "storage by HTTPS with an access": (
        settings("storage: {url: https://files.example.org/, access: profile}\n"),
        "https storage has no access 'profile' ({src}/ami.yaml:1:10). Leave it out.",
    ),
    "storage with an unknown key": (
        settings("storage: {urll: s3://bucket/x}\n"),
        "storage has no key 'urll' ({src}/ami.yaml:1:11). Did you mean 'url'.",
    ),
    "parameters is a list": (
        settings("parameters: [channel]\n"),
        (
            "'parameters' is a list, not a mapping ({src}/ami.yaml:1:13). "
            "Write 'name: {type, default, description}' for each."
        ),
    ),
    "a parameter in capitals": (
        settings("parameters: {Channel: {}}\n"),
        "'Channel' is no parameter name ({src}/ami.yaml:1:14). Use lower-case letters, digits and _.",
    ),
    "a parameter that is only a default": (
        settings("parameters: {channel: stable}\n"),
        (
            "parameter 'channel' is a text, not a mapping ({src}/ami.yaml:1:23). "
            "Its keys: type, default, description, choices."
        ),
    ),
    "a parameter with an unknown key": (
        settings("parameters: {channel: {defualt: stable}}\n"),
        "parameter 'channel' has no key 'defualt' ({src}/ami.yaml:1:24). Did you mean 'default'.",
    ),
    "a parameter of an unknown type": (
        settings("parameters: {channel: {type: text, default: a}}\n"),
        "'type' is 'text' ({src}/ami.yaml:1:30). Use string, integer, boolean, choice or secret.",
    ),
    "a choice without choices": (
        settings("parameters: {channel: {type: choice, default: a}}\n"),
        (
            "parameter 'channel' of type choice and its choices do not fit ({src}/ami.yaml:1:23). "
            "Give it 'choices: [..]'."
        ),
    ),
    "choices without the type": (
        settings("parameters: {channel: {choices: [a, b], default: a}}\n"),
        (
            "parameter 'channel' of type string and its choices do not fit ({src}/ami.yaml:1:23). "
            "Give it 'type: choice', or remove the choices."
        ),
    ),
    "a default that is no choice": (
        settings("parameters: {channel: {type: choice, choices: [a, b], default: c}}\n"),
        "the default of 'channel' is 'c', not one of a, b ({src}/ami.yaml:1:64).",
    ),
    "choices that YAML takes for booleans": (
        settings("parameters: {debug: {type: choice, choices: [on, off], default: 'on'}}\n"),
        "'choices' has an entry that is true or false, not a text ({src}/ami.yaml:1:46).",
    ),
    "an integer whose default is a word": (
        settings("parameters: {workers: {type: integer, default: many}}\n"),
        "the default of 'workers' is 'many', not a whole number ({src}/ami.yaml:1:48).",
    ),
    "an integer with too many digits": (
        settings("parameters: {workers: {type: integer, default: 1234567890123456789}}\n"),
        "the value of 'workers' has more than 18 digits ({src}/ami.yaml:1:23).",
    ),
    "a boolean whose default is a word": (
        settings("parameters: {debug: {type: boolean, default: maybe}}\n"),
        "the default of 'debug' is 'maybe', not true or false ({src}/ami.yaml:1:46).",
    ),
    "a default that is a fraction": (
        settings("parameters: {ratio: {default: 1.10}}\n"),
        "the default of 'ratio' is a number ({src}/ami.yaml:1:31). Put it in quotes.",
    ),
    "a default that is a list": (
        settings("parameters: {users: {default: [a, b]}}\n"),
        "the default of 'users' is a list ({src}/ami.yaml:1:31). Write one value.",
    ),
    "a default of two lines": (
        settings('parameters: {motd: {default: "a\\nb"}}\n'),
        "the default of 'motd' has more than one line ({src}/ami.yaml:1:30).",
    ),
    "a secret with a default": (
        settings("parameters: {token: {type: secret, default: abc}}\n"),
        (
            "the secret 'token' has a default, which everybody who reads the source knows ({src}/ami.yaml:1:45). "
            "Remove it, and set AMI_PARAM_TOKEN in the environment."
        ),
    ),
    "a parameter without a value": (
        settings("parameters: {channel: {}}\n"),
        (
            "parameter 'channel' has no value ({src}/ami.yaml:1:23). "
            "Give --param channel=VALUE, or set AMI_PARAM_CHANNEL."
        ),
    ),
    "a secret that is not set": (
        settings("parameters: {token: {type: secret}}\n"),
        "parameter 'token' has no value ({src}/ami.yaml:1:21). Set AMI_PARAM_TOKEN in the environment.",
    ),
    "merge is a text": (
        settings("merge: last\n"),
        "merge is a text, not a mapping ({src}/ami.yaml:1:8). Its keys: scalars.",
    ),
    "merge with an unknown word": (
        settings("merge: {scalars: newest}\n"),
        "'scalars' is 'newest' ({src}/ami.yaml:1:18). Use error, first or last.",
    ),
    "merge with an unknown key": (
        settings("merge: {lists: append}\n"),
        "merge has no key 'lists' ({src}/ami.yaml:1:9). Known: scalars.",
    ),
    "strict is a text": (
        settings("strict: 'no'\n"),
        "'strict' is a text, not true or false ({src}/ami.yaml:1:9). Write it without quotes.",
    ),
    "strict is a list": (
        settings('strict: ["cloudinit/30_*"]\n'),
        (
            "'strict' is a list, not true or false ({src}/ami.yaml:1:9). "
            "Write 'strict: {except: [..]}' for parts whose commands may fail."
        ),
    ),
    "strict with an unknown key": (
        settings('strict: {exept: ["cloudinit/30_*"]}\n'),
        "strict has no key 'exept' ({src}/ami.yaml:1:10). Did you mean 'except'.",
    ),
    "strict with one text instead of a list": (
        settings('strict: {except: "cloudinit/30_*"}\n'),
        "'except' is a text, not a list ({src}/ami.yaml:1:18). Write [ ] around it, or '- ' before it.",
    ),
    "overlay is a list": (
        settings("overlay: [{path: x, mode: '0640'}]\n"),
        "overlay is a list, not a mapping ({src}/ami.yaml:1:10). Its keys: compression, rules, setuid.",
    ),
    "an unknown compression": (
        settings("overlay: {compression: xz}\n"),
        "'compression' is 'xz' ({src}/ami.yaml:1:24). Use gzip or zstd.",
    ),
    "rules is a mapping": (
        settings("overlay: {rules: {path: x, mode: '0640'}}\n"),
        "'rules' is a mapping, not a list ({src}/ami.yaml:1:18). Begin each entry with '- '.",
    ),
    "a rule that is a text": (
        settings("overlay: {rules: ['etc/* 0640']}\n"),
        "overlay rule 1 is a text, not a mapping ({src}/ami.yaml:1:19). Its keys: path, mode, owner.",
    ),
    "a rule without a path": (
        settings("overlay: {rules: [{mode: '0640'}]}\n"),
        "overlay rule 1 lacks 'path' ({src}/ami.yaml:1:19). Add 'path:'.",
    ),
    "a rule that changes nothing": (
        settings("overlay: {rules: [{path: 'etc/*'}]}\n"),
        "the rule changes nothing ({src}/ami.yaml:1:19). Give it 'mode:' or 'owner:'.",
    ),
    "a rule with an unknown key": (
        settings("overlay: {rules: [{path: 'etc/*', mod: '0640'}]}\n"),
        "overlay rule 1 has no key 'mod' ({src}/ami.yaml:1:35). Did you mean 'mode'.",
    ),
    "a mode without quotes": (
        settings("overlay: {rules: [{path: 'etc/*', mode: 0640}]}\n"),
        "'mode' is a whole number, not a text ({src}/ami.yaml:1:41). Put it in quotes.",
    ),
    "a mode that is not octal": (
        settings("overlay: {rules: [{path: 'etc/*', mode: '0698'}]}\n"),
        "'0698' is no mode ({src}/ami.yaml:1:41). Write octal digits in quotes, like \"0640\".",
    ),
    "a mode in letters": (
        settings("overlay: {rules: [{path: 'etc/*', mode: u=rw}]}\n"),
        "'u=rw' is no mode ({src}/ami.yaml:1:41). Write octal digits in quotes, like \"0640\".",
    ),
    "an owner with a space": (
        settings("overlay: {rules: [{path: 'etc/*', owner: www data}]}\n"),
        "'www data' is no owner ({src}/ami.yaml:1:42). Write user or user:group, names or ids.",
    ),
    "an owner that is a number without quotes": (
        settings("overlay: {rules: [{path: 'etc/*', owner: 1000}]}\n"),
        "'owner' is a whole number, not a text ({src}/ami.yaml:1:42). Put it in quotes.",
    ),
    "an owner that is too long for a tarball": (
        settings(f"overlay: {{rules: [{{path: 'etc/*', owner: {'x' * 32}}}]}}\n"),
        (
            "the name 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is too long for a tarball ({src}/ami.yaml:1:19). "
            "Use its number."
        ),
    ),
    "setuid is a text": (
        settings("overlay: {setuid: usr/bin/x}\n"),
        "'setuid' is a text, not a list ({src}/ami.yaml:1:19). Write [ ] around it, or '- ' before it.",
    ),
    "checks is a list": (
        settings("checks: [secrets]\n"),
        "checks is a list, not a mapping ({src}/ami.yaml:1:9). Its keys: allow_secrets.",
    ),
    "checks with an unknown key": (
        settings("checks: {allow_secret: [x]}\n"),
        "checks has no key 'allow_secret' ({src}/ami.yaml:1:10). Did you mean 'allow_secrets'.",
    ),
    "allow_secrets is a text": (
        settings("checks: {allow_secrets: fs/x}\n"),
        "'allow_secrets' is a text, not a list ({src}/ami.yaml:1:25). Write [ ] around it, or '- ' before it.",
    ),
    "timeouts is a number": (
        settings("timeouts: 600\n"),
        "timeouts is a whole number, not a mapping ({src}/ami.yaml:1:11). Its keys: instance, image, compile.",
    ),
    "a time limit of zero": (
        settings("timeouts: {instance: 0}\n"),
        "'instance' is 0, not between 1 and 86400 ({src}/ami.yaml:1:22).",
    ),
    "a time limit of more than a day": (
        settings("timeouts: {compile: 86401}\n"),
        "'compile' is 86401, not between 1 and 86400 ({src}/ami.yaml:1:21).",
    ),
    "a time limit with a unit": (
        settings("timeouts: {image: 10m}\n"),
        "'image' is a text, not a whole number ({src}/ami.yaml:1:19). Write digits only, without quotes.",
    ),
    "an unknown time limit": (
        settings("timeouts: {instnace: 600}\n"),
        "timeouts has no key 'instnace' ({src}/ami.yaml:1:12). Did you mean 'instance'.",
    ),
    "tests is a mapping": (
        settings("tests: {run: x}\n"),
        "'tests' is a mapping, not a list ({src}/ami.yaml:1:8). Begin each entry with '- '.",
    ),
    "a test that is a number": (
        settings("tests: [5]\n"),
        (
            "test 1 is a whole number, not a mapping ({src}/ami.yaml:1:9). "
            "Its keys: name, run, stdout, exit_code, timeout."
        ),
    ),
    "a test without a command": (
        settings("tests: [{name: answers}]\n"),
        "test 1 lacks 'run' ({src}/ami.yaml:1:9). Add 'run:'.",
    ),
    "a test with an empty command": (
        settings("tests: [{run: ' '}]\n"),
        "a test's command is empty ({src}/ami.yaml:1:15). Write a command, or remove the test.",
    ),
    "a test that is an empty text": (
        settings("tests: ['']\n"),
        "a test's command is empty ({src}/ami.yaml:1:9). Write a command, or remove the test.",
    ),
    "a test with an unknown key": (
        settings("tests:\n  - run: x\n    stdot: y\n"),
        "test 1 has no key 'stdot' ({src}/ami.yaml:3:5). Did you mean 'stdout'.",
    ),
    "a test whose exit code is too large": (
        settings("tests: [{run: x, exit_code: 256}]\n"),
        "'exit_code' is 256, not between 0 and 255 ({src}/ami.yaml:1:29).",
    ),
    "a test whose output is a number": (
        settings("tests: [{run: x, stdout: 5}]\n"),
        "'stdout' is a whole number, not a text ({src}/ami.yaml:1:26). Put it in quotes.",
    ),
    "a test with no time": (
        settings("tests: [{run: x, timeout: 0}]\n"),
        "'timeout' is 0, not between 1 and 3600 ({src}/ami.yaml:1:27).",
    ),
}
"""ami.yaml: its blocks."""
