"""Bad files of an AMI source, bad cloud-configs among them, and the whole line that each one gets.

``{part}`` stands for the one part that every source has.
"""

from __future__ import annotations

from .bad_settings import KNOWN, Files, Table, env, settings

YML = "cloudinit/10_a.yml"
CONFIG = '#cloud-config\nruncmd: ["true"]\n'

NAMES = "Name it NN_name (two digits) with .yml, .yaml, .cfg, .sh, .py, .txt or .mime, or move it away"
COMMAND = "Write a text, or a list of words; quote a text that contains ': '"
MERGER = "Write {name: list, settings: [append]}, [list, append], or the text list(append)"
ONE_OF_TWO = "Say it in one file only, or choose 'merge: {scalars: first}' or 'last' in ami.yaml"


def part(text: str | bytes) -> Files:
    return {YML: text}


def config(text: str | bytes) -> Files:
    return {YML: b"#cloud-config\n" + text if isinstance(text, bytes) else "#cloud-config\n" + text}


def second(text: str) -> Files:
    return {"cloudinit/20_b.yml": "#cloud-config\n" + text}


def mime(*lines: str, version: str = "MIME-Version: 1.0\n") -> Files:
    head = f'{version}Content-Type: multipart/mixed; boundary="b"\n\n'
    return {YML: None, "cloudinit/20_m.mime": head + "\n".join(lines) + "\n"}


LAYOUT: Table = {
    "nothing to do": (
        {YML: None},
        "the AMI source describes nothing to do ({src}). Add cloudinit/NN_name.yml, fs/ or script/install.sh.",
    ),
    "fs is a file": ({"fs": "x"}, "fs is a file, not a folder ({src}/fs). Move it away."),
    "cloudinit is a file": (
        {YML: None, "cloudinit": "x"},
        "cloudinit is a file, not a folder ({src}/cloudinit). Move it away.",
    ),
    "compile.sh is a folder": (
        {"script/compile.sh/x": ""},
        "compile.sh is not a file ({src}/script/compile.sh). Move it away.",
    ),
    "install.sh is a folder": (
        {"script/install.sh/x": ""},
        "install.sh is not a file ({src}/script/install.sh). Move it away.",
    ),
    "a part without a number": (
        {"cloudinit/base.yml": CONFIG},
        "base.yml would not be used ({src}/cloudinit/base.yml). " + NAMES + ".",
    ),
    "a part with one digit": (
        {"cloudinit/1_base.yml": CONFIG},
        "1_base.yml would not be used ({src}/cloudinit/1_base.yml). " + NAMES + ".",
    ),
    "a part with a dash": (
        {"cloudinit/10-base.yml": CONFIG},
        "10-base.yml would not be used ({src}/cloudinit/10-base.yml). " + NAMES + ".",
    ),
    "a part of an unknown kind of file": (
        {"cloudinit/10_base.json": "{}"},
        "10_base.json would not be used ({src}/cloudinit/10_base.json). " + NAMES + ".",
    ),
    "an editor's backup": (
        {"cloudinit/10_a.yml~": CONFIG},
        "10_a.yml~ would not be used ({src}/cloudinit/10_a.yml~). " + NAMES + ".",
    ),
    "a folder among the parts": (
        {"cloudinit/20_more.yml/x": ""},
        "20_more.yml is a folder ({src}/cloudinit/20_more.yml). Move its files up, or move it away.",
    ),
    "three misnamed parts": (
        {"cloudinit/base.yml": "", "cloudinit/10_a.yml.orig": "", "cloudinit/20_b.YML": ""},
        "10_a.yml.orig would not be used ({src}/cloudinit/10_a.yml.orig). " + NAMES + ".",
        "20_b.YML would not be used ({src}/cloudinit/20_b.YML). " + NAMES + ".",
        "base.yml would not be used ({src}/cloudinit/base.yml). " + NAMES + ".",
    ),
    "a template in Python": (
        {"cloudinit/10_b.py.j2": "#part-handler\n"},
        "10_b.py.j2 would not be used ({src}/cloudinit/10_b.py.j2). " + NAMES + ".",
    ),
    "a name with a line break": (
        {"cloudinit/10_a\nb": ""},
        "10_a b would not be used ({src}/cloudinit/10_a b). " + NAMES + ".",
    ),
    "a name that a terminal would obey": (
        {"cloudinit/20_\x1b[2J.yml": CONFIG},
        (
            "the name '20_\\x1b[2J.yml' cannot be printed ({src}/cloudinit/20_\\x1b[2J.yml). "
            "Rename it: the instance names its parts in the log."
        ),
    ),
    "the place that the build uses itself": (
        {"fs/var/lib/jenkins-ami/x": "x"},
        "/var/lib/jenkins-ami is used by the build itself ({src}/fs/var/lib/jenkins-ami). Choose another place.",
    ),
    "files in folders that are empty after a start": (
        {"fs/run/x": "", "fs/tmp/x": "", "fs/dev/null": "", "fs/proc/x": ""},
        (
            "/run/x would be lost: /run is empty when the instance starts ({src}/fs/run/x). "
            "Let systemd-tmpfiles make it: write a file for /etc/tmpfiles.d."
        ),
        "/dev/null would be lost: /dev is empty when the instance starts ({src}/fs/dev/null). Write a udev rule.",
        (
            "/proc/x would be lost: /proc is empty when the instance starts ({src}/fs/proc/x). "
            "Set kernel parameters in /etc/sysctl.d."
        ),
    ),
    "a folder of the kernel's that is a file": (
        {"fs/sys": ""},
        "/sys is a folder of the kernel's on the instance ({src}/fs/sys). Remove it.",
    ),
    "the token that stands for a URL": (
        {YML: CONFIG, "cloudinit/20_x.sh": "#!/bin/sh\necho '@JENKINS-AMI-STORAGE-URL@'\n"},
        (
            "@JENKINS-AMI-STORAGE-URL@ is reserved: build puts a URL in its place ({src}/cloudinit/20_x.sh:2). "
            "Choose another text."
        ),
    ),
    "errors in ami.env, ami.yaml and among the parts": (
        env("NAME=web server\nVERSION=1\nBASE=x\n") | settings("foo: 1\n") | {"cloudinit/base.yml": ""},
        "'server' after the value ({src}/ami.env:1:10). Quote a value that contains spaces.",
        "ami.yaml has no key 'foo' ({src}/ami.yaml:1:1). Known: " + KNOWN + ".",
        "base.yml would not be used ({src}/cloudinit/base.yml). " + NAMES + ".",
    ),
    "errors in the overlay, in a part and in a rule": (
        settings("overlay: {rules: [{path: x, owner: %s}]}\n" % ("x" * 32)) | config("runcmd: a\n") | {"fs/run/x": ""},
        "'runcmd' is a text, not a list ({part}:2:9). Begin each entry with '- '.",
        (
            "the name 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is too long for a tarball ({src}/ami.yaml:1:19). "
            "Use its number."
        ),
        (
            "/run/x would be lost: /run is empty when the instance starts ({src}/fs/run/x). "
            "Let systemd-tmpfiles make it: write a file for /etc/tmpfiles.d."
        ),
    ),
    "compile.sh with Windows line ends": (
        {"script/compile.sh": "#!/bin/sh\r\ntrue\r\n"},
        (
            "Windows line ends, which no shell understands ({src}/script/compile.sh:1). "
            "Save it with LF, and write '*.sh text eol=lf' into .gitattributes."
        ),
    ),
    "install.sh with Windows line ends": (
        {"script/install.sh": "#!/bin/sh\r\ntrue\r\n"},
        (
            "Windows line ends, which no shell understands ({src}/script/install.sh:1). "
            "Save it with LF, and write '*.sh text eol=lf' into .gitattributes."
        ),
    ),
    "install.sh that the shell cannot read": (
        {"script/install.sh": "#!/bin/sh\nif true; then\n  echo a\n"},
        'syntax error: end of file unexpected (expecting "fi") ({src}/script/install.sh:3).',
    ),
}
"""What lies where in an AMI source."""

HEADERS: Table = {
    "an empty file": (part(""), "the file is empty ({part}). Remove it, or give it content."),
    "blanks only": (part(" \n\n"), "the file is empty ({part}). Remove it, or give it content."),
    "no header": (
        part("runcmd: [a]\n"),
        (
            "the first line is no header that cloud-init knows: it would ignore the file ({part}:1). "
            "Begin it with '#cloud-config'."
        ),
    ),
    "a blank line before the header": (
        part("\n#cloud-config\nruncmd: [a]\n"),
        (
            "a blank line stands before the header: older versions of cloud-init ignore such a file ({part}:1). "
            "Make '#cloud-config' the first line."
        ),
    ),
    "a document marker before the header": (
        part("---\n#cloud-config\nruncmd: [a]\n"),
        (
            "'---' stands before the header: cloud-init would ignore the file ({part}:1). "
            "Make '#cloud-config' the first line."
        ),
    ),
    "a comment before the header": (
        part("# ours\n#cloud-config\nruncmd: [a]\n"),
        (
            "the header is in line 2: cloud-init looks at the first line only, and would ignore the file ({part}:1). "
            "Make it the first line."
        ),
    ),
    "a space in the header": (
        part("# cloud-config\nruncmd: [a]\n"),
        "'# cloud-config' is no header that cloud-init knows ({part}:1). Did you mean '#cloud-config'.",
    ),
    "a space before the header": (
        part(" #cloud-config\nruncmd: [a]\n"),
        "' #cloud-config' is no header that cloud-init knows ({part}:1). Did you mean '#cloud-config'.",
    ),
    "a slip in the header": (
        part("#cloud-confg\nruncmd: [a]\n"),
        "'#cloud-confg' is no header that cloud-init knows ({part}:1). Did you mean '#cloud-config'.",
    ),
    "an underscore in the header": (
        part("#cloud_config\nruncmd: [a]\n"),
        "'#cloud_config' is no header that cloud-init knows ({part}:1). Did you mean '#cloud-config'.",
    ),
    "more behind the header": (
        part("#cloud-configuration\nruncmd: [a]\n"),
        "'#cloud-configuration' is no header that cloud-init knows ({part}:1). Did you mean '#cloud-config'.",
    ),
    "a byte order mark": (
        part(b"\xef\xbb\xbf#cloud-config\nruncmd: [a]\n"),
        (
            "a byte order mark stands before the header: cloud-init would ignore the file ({part}:1). "
            "Save it as UTF-8 without one (BOM)."
        ),
    ),
    "a script without a header": (
        {"cloudinit/20_x.sh": "echo a\n"},
        (
            "the first line is no header that cloud-init knows: it would ignore the file "
            "({src}/cloudinit/20_x.sh:1). "
            "Begin it with '#!/bin/sh'."
        ),
    ),
    "a script with a space in its header": (
        {"cloudinit/20_x.sh": "# !/bin/sh\necho a\n"},
        "'# !/bin/sh' is no header that cloud-init knows ({src}/cloudinit/20_x.sh:1). Did you mean '#!/bin/sh'.",
    ),
    "a JSON patch": (
        part('#cloud-config-jsonp\n[{"op": "add", "path": "/a", "value": 1}]\n'),
        (
            "a JSON patch counts on what cloud-init merged before it, which compile arranges anew ({part}:1:1). "
            "Write a cloud-config with merge_how instead."
        ),
    ),
    "cloud-config in a part-handler's place": (
        {"cloudinit/20_x.py": "def list_types(): pass\n"},
        (
            "the first line is no header that cloud-init knows: it would ignore the file "
            "({src}/cloudinit/20_x.py:1). "
            "Begin it with '#part-handler'."
        ),
    ),
    "the header alone": (part("#cloud-config\n"), "the document is empty ({part}:1:1). Remove it, or give it content."),
    "the header and a comment": (
        part("#cloud-config\n# nothing yet\n"),
        "the document is empty ({part}:1:1). Remove it, or give it content.",
    ),
    "an empty mapping": (
        part("#cloud-config\n{}\n"),
        "the document sets nothing ({part}:1:1). Remove it, or give it content.",
    ),
    "only a statement about merging": (
        part("#cloud-config\nmerge_how: list(append)\n"),
        (
            "with a merge_how without 'dict(…)' cloud-init drops the whole part ({part}:2:12). "
            "Write, for example, dict(recurse_list)+list(append)."
        ),
    ),
    "a list": (part("#cloud-config\n- a\n"), "the document is a list, not a mapping ({part}:2:1)."),
    "a text": (part("#cloud-config\nhello\n"), "the document is a text, not a mapping ({part}:2:1)."),
    "a number": (part("#cloud-config\n5\n"), "the document is a whole number, not a mapping ({part}:2:1)."),
    "null": (part("#cloud-config\n~\n"), "the document is empty ({part}:1:1). Remove it, or give it content."),
}
"""The first line of a part."""

YAML_ERRORS: Table = {
    "a list that is not closed": (
        config("runcmd: [a, b\n"),
        "invalid YAML: did not find expected ',' or ']' (while parsing a flow sequence from line 2) ({part}:3:1).",
    ),
    "a quote that is not closed": (
        config("runcmd: ['a]\n"),
        "invalid YAML: found unexpected end of stream (while scanning a quoted scalar from line 2) ({part}:3:1).",
    ),
    "a tab as indentation": (
        config("a:\n\tb: c\n"),
        "invalid YAML: a tab begins or indents a value ({part}:3:1). Indent with spaces.",
    ),
    "wrong indentation": (
        config("users:\n  - name: a\n   shell: b\n"),
        (
            "invalid YAML: did not find expected '-' indicator (while parsing a block collection from line 3) "
            "({part}:4:4). "
            "Look at the indentation."
        ),
    ),
    "a colon in a text": (
        config("hostname: a: b\n"),
        (
            "invalid YAML: mapping values are not allowed in this context ({part}:2:12). "
            "Quote a text that contains ': ', or mend the indentation."
        ),
    ),
    "a percent sign at the beginning": (
        config("hostname: %h\n"),
        "invalid YAML: a value cannot begin with '%' ({part}:2:11). Put it in quotes.",
    ),
    "an at sign at the beginning": (
        config("hostname: @host\n"),
        "invalid YAML: a value cannot begin with '@' ({part}:2:11). Put it in quotes.",
    ),
    "a template without quotes": (
        config("hostname: {{ host }}\n"),
        "a key cannot be a list or a mapping ({part}:2:12). Quote a text that begins with '{' or '['.",
    ),
    "a bad escape": (
        config('hostname: "C:\\Windows"\n'),
        (
            "invalid YAML: found unknown escape character (while parsing a quoted scalar) ({part}:2:14). "
            "Use single quotes: between double ones a backslash begins an escape."
        ),
    ),
    "a key twice": (
        config("runcmd: [a]\npackages: [b]\nruncmd: [c]\n"),
        (
            "key 'runcmd' is given twice, first in line 2 ({part}:4:1). "
            "YAML readers keep only the last; remove one, or merge the two."
        ),
    ),
    "a key twice further down": (
        config("apt:\n  conf: a\n  conf: b\n"),
        (
            "key 'conf' is given twice, first in line 3 ({part}:4:3). "
            "YAML readers keep only the last; remove one, or merge the two."
        ),
    ),
    "a second document": (
        config("runcmd: [a]\n---\nruncmd: [b]\n"),
        "a second document begins here ({part}:3:1). Put it into a file of its own.",
    ),
    "an alias to nowhere": (
        config("runcmd: *common\n"),
        "invalid YAML: found undefined alias ({part}:2:9). Quote a text that begins with '*'.",
    ),
    "an anchor that contains itself": (
        config("runcmd: &x [*x]\n"),
        "an anchor contains an alias of itself ({part}:2:9).",
    ),
    "an anchor that contains itself further down": (
        config("users: &x\n  - groups: {a: *x}\n"),
        "an anchor contains an alias of itself ({part}:2:8).",
    ),
    "an alias bomb": (
        config(
            "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"{n}: &{n} [{', '.join([f'*{o}'] * 10)}]\n" for o, n in zip("abcdefg", "bcdefgh", strict=True))
        ),
        (
            "with its aliases written out this comes to more than 1,000,000 values ({part}:7:4). "
            "Do not nest aliases in aliases."
        ),
    ),
    "lists nested ten thousand deep": (
        config("a: " + "[" * 10_000 + "]" * 10_000 + "\n"),
        "invalid YAML: exceeded maximum nesting depth (while increasing flow level) ({part}:2:1003).",
    ),
    "a merge key with a text": (
        config("users:\n  - <<: x\n    name: a\n"),
        (
            "invalid YAML: expected a mapping or list of mappings for merging, but found scalar (while constructing "
            "a mapping) ({part}:3:9)."
        ),
    ),
    "a Python object": (
        config("runcmd: !!python/object/apply:os.system ['true']\n"),
        "the YAML type !!python/object/apply:os.system is not understood ({part}:2:9). Use a list or a mapping.",
    ),
    "a set": (
        config("packages: !!set {a, b}\n"),
        "the YAML type !!set is not understood ({part}:2:11). Use a list or a mapping.",
    ),
    "an ordered mapping": (
        config("apt: !!omap [a: b]\n"),
        "the YAML type !!omap is not understood ({part}:2:6). Use a list or a mapping.",
    ),
    "a tag of one's own": (
        config("hostname: !secret host\n"),
        "the YAML tag '!secret' is not understood ({part}:2:11). Quote a text that begins with '!'.",
    ),
    "an integer that is none": (
        config("hostname: !!int x\n"),
        ("invalid value: invalid literal for int() with base 10: 'x' ({part}:2:11). Put it in quotes if it is a text."),
    ),
    "bad base64": (
        config("write_files: [{path: /x, content: !!binary A}]\n"),
        (
            "invalid YAML: failed to decode base64 data: Invalid base64-encoded string: number of data characters "
            "(1) cannot be 1 more than a multiple of 4 ({part}:2:35)."
        ),
    ),
    "a date that is none": (
        config("hostname: 2024-13-45\n"),
        "invalid value: month must be in 1..12 ({part}:2:11). Put it in quotes if it is a text.",
    ),
    "a list as a key": (
        config("[a, b]: c\n"),
        "a key cannot be a list or a mapping ({part}:2:1). Quote a text that begins with '{' or '['.",
    ),
    "a mapping as a key": (
        config("? {a: b}\n: c\n"),
        "a key cannot be a list or a mapping ({part}:2:3). Quote a text that begins with '{' or '['.",
    ),
    "a key that is a boolean": (config("on: x\n"), "key True is not a text ({part}:2:1). Put it in quotes."),
    "a key that is a number": (config("1: x\n"), "key 1 is not a text ({part}:2:1). Put it in quotes."),
    "a byte order mark in the middle, as after joining two files": (
        config("hostname: a\n\ufefflocale: b\n"),
        "character U+FEFF is not allowed in YAML ({part}:3:1). Remove it.",
    ),
    "a control character": (
        config("hostname: a\x01b\n"),
        "character U+0001 is not allowed in YAML ({part}:2:12). Remove it.",
    ),
    "a NUL character": (
        config("hostname: a\0b\n"),
        "character U+0000 is not allowed in YAML ({part}:2:12). Remove it.",
    ),
    "half a surrogate pair by an escape": (
        config('hostname: "\\ud800"\n'),
        "invalid YAML: found invalid Unicode character escape code (while parsing a quoted scalar) ({part}:2:14).",
    ),
    "not UTF-8": (config(b"hostname: caf\xe9\n"), "not UTF-8 text ({part}:2:14). Save the file as UTF-8."),
    "UTF-16": (
        part("#cloud-config\nruncmd: [a]\n".encode("utf-16")),
        "UTF-16, not UTF-8 text ({part}:1). Save the file as UTF-8.",
    ),
    "errors in two files": (
        config("runcmd: [a\n") | {"cloudinit/20_b.yml": "#cloud-config\n- a\n"},
        "invalid YAML: did not find expected ',' or ']' (while parsing a flow sequence from line 2) ({part}:3:1).",
        "the document is a list, not a mapping ({src}/cloudinit/20_b.yml:2:1).",
    ),
}
"""YAML that says something else than its author meant, or nothing."""

CONFIG_VALUES: Table = {
    "power_state": (
        config("power_state: {mode: reboot}\n"),
        "'power_state' belongs to compile: the power-off is the proof of success ({part}:2:1). Remove it.",
    ),
    "runcmd is a text": (
        config("runcmd: echo a\n"),
        "'runcmd' is a text, not a list ({part}:2:9). Begin each entry with '- '.",
    ),
    "runcmd is a mapping": (
        config("runcmd: {a: b}\n"),
        "'runcmd' is a mapping, not a list ({part}:2:9). Begin each entry with '- '.",
    ),
    "a command with a colon": (
        config("runcmd:\n  - echo a: b\n"),
        "a runcmd entry is a mapping, not a command ({part}:3:5). " + COMMAND + ".",
    ),
    "an empty command": (
        config("runcmd:\n  - \n"),
        "a runcmd entry is empty, not a command ({part}:3:4). " + COMMAND + ".",
    ),
    "a command that is a number": (
        config("runcmd: [5]\n"),
        "a runcmd entry is a whole number, not a command ({part}:2:10). " + COMMAND + ".",
    ),
    "a command that is an empty list": (
        config("runcmd: [[]]\n"),
        "a runcmd entry is a list, not a command ({part}:2:10). " + COMMAND + ".",
    ),
    "a command of words with a list in it": (
        config("runcmd: [[echo, [a]]]\n"),
        "a runcmd entry is a list, not a command ({part}:2:10). " + COMMAND + ".",
    ),
    "a command of words with an empty one": (
        config("runcmd: [[echo, null]]\n"),
        "a runcmd entry is a list, not a command ({part}:2:10). " + COMMAND + ".",
    ),
    "a command that the shell cannot read": (
        config("runcmd:\n  - echo 'a\n  - if true; then\n"),
        "syntax error: Unterminated quoted string ({part}:3).",
        'syntax error: end of file unexpected (expecting "fi") ({part}:4).',
    ),
    "write_files is a mapping": (
        config("write_files: {path: /x}\n"),
        "'write_files' is a mapping, not a list ({part}:2:14). Begin each entry with '- '.",
    ),
    "a file without a path": (
        config("write_files: [{content: x}]\n"),
        "'write_files' lacks 'path' ({part}:2:15). Add 'path:'.",
    ),
    "a mode that lost its zero": (
        config("write_files: [{path: /x, permissions: 644}]\n"),
        'the mode 644 is a decimal number, octal 1204 ({part}:2:39). Write "0644".',
    ),
    "a mode in letters": (
        config("write_files: [{path: /x, permissions: u=rw}]\n"),
        "'u=rw' is no mode ({part}:2:39). Write octal digits in quotes, like \"0644\".",
    ),
    "packages is a text": (
        config("packages: nginx\n"),
        "'packages' is a text, not a list ({part}:2:11). Write [ ] around it, or '- ' before it.",
    ),
    "a slip in a key": (
        config("pakages: [nginx]\n"),
        "there is no cloud-config key 'pakages' ({part}:2:1). Did you mean 'packages'.",
    ),
    "a slip further down": (
        config("users: [{name: a, shel: /bin/sh}]\n"),
        "'users' has no key 'shel' ({part}:2:19). Did you mean 'shell'.",
    ),
    "a boolean in quotes": (
        config("package_update: 'yes'\n"),
        "'package_update' is a text, not true or false ({part}:2:17). Write it without quotes.",
    ),
    "a number for a text": (
        config("hostname: 5\n"),
        "'hostname' is a whole number, not a text ({part}:2:11). Put it in quotes.",
    ),
    "a launch index": (
        config("launch-index: 1\nhostname: a\n"),
        (
            "a launch-index other than 0: a build launches one instance, which would not get this part ({part}:2:1). "
            "Remove it."
        ),
    ),
    "a private key": (
        config("write_files:\n- path: /x\n  content: |\n    -----BEGIN RSA PRIVATE KEY-----\n    MIIEpAIBAAKCAQEA\n"),
        (
            "a private key ({part}:5:5). "
            "Fetch it at run time, or allow it by 'checks: {allow_secrets: [cloudinit/10_a.yml]}' in ami.yaml."
        ),
    ),
    "a secret key of AWS": (
        config("runcmd:\n  - export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENGbPxRfiCYzzzzKEYzzzzz\n"),
        (
            "'AWS_SECRET_ACCESS_KEY' with its value in clear ({part}:3:12). "
            "Fetch it at run time, or allow it by 'checks: {allow_secrets: [cloudinit/10_a.yml]}' in ami.yaml."
        ),
    ),
    "a password in clear": (
        config("users: [{name: a, plain_text_passwd: hunter2hunter2}]\n"),
        (
            "'plain_text_passwd' with its value in clear ({part}:2:38). "
            "Fetch it at run time, or allow it by 'checks: {allow_secrets: [cloudinit/10_a.yml]}' in ami.yaml."
        ),
    ),
    "five errors in one file, all told": (
        config("pakages: [a]\nruncmd:\n  - a: b\n  - 5\npower_state: {}\nhostname: 5\n"),
        "there is no cloud-config key 'pakages' ({part}:2:1). Did you mean 'packages'.",
        "a runcmd entry is a mapping, not a command ({part}:4:5). " + COMMAND + ".",
        "a runcmd entry is a whole number, not a command ({part}:5:5). " + COMMAND + ".",
        "'power_state' belongs to compile: the power-off is the proof of success ({part}:6:1). Remove it.",
        "'hostname' is a whole number, not a text ({part}:7:11). Put it in quotes.",
    ),
}
"""What a cloud-config may not say."""

MERGING: Table = {
    "two values of one scalar": (
        config("locale: a\n") | second("locale: b\n"),
        "'locale' is 'b' here and 'a' in {part}:2:9 ({src}/cloudinit/20_b.yml:2:9). " + ONE_OF_TWO + ".",
    ),
    "two values of one scalar further down": (
        config("apt: {conf: a}\n") | second("apt: {conf: b}\n"),
        "'apt.conf' is 'b' here and 'a' in {part}:2:13 ({src}/cloudinit/20_b.yml:2:13). " + ONE_OF_TWO + ".",
    ),
    "two long values": (
        config("apt: {conf: %s}\n" % ("a" * 50)) | second("apt: {conf: b}\n"),
        "'apt.conf' is 'b' here and a text in {part}:2:13 ({src}/cloudinit/20_b.yml:2:13). " + ONE_OF_TWO + ".",
    ),
    "true and false": (
        config("package_update: true\n") | second("package_update: false\n"),
        "'package_update' is false here and true in {part}:2:17 ({src}/cloudinit/20_b.yml:2:17). " + ONE_OF_TWO + ".",
    ),
    "a list and a text": (
        config("users: [a]\n") | second("users: b\n"),
        ("'users' is a text here and a list in {part}:2:8 ({src}/cloudinit/20_b.yml:2:8). Use the same type in both."),
    ),
    "a mapping and a list": (
        config("users: {name: a}\n") | second("users: [b]\n"),
        (
            "'users' is a list here and a mapping in {part}:2:8 ({src}/cloudinit/20_b.yml:2:8). "
            "Use the same type in both."
        ),
    ),
    "three parts with three values": (
        config("locale: a\n") | second("locale: b\n") | {"cloudinit/30_c.yml": "#cloud-config\nlocale: c\n"},
        "'locale' is 'b' here and 'a' in {part}:2:9 ({src}/cloudinit/20_b.yml:2:9). " + ONE_OF_TWO + ".",
        "'locale' is 'c' here and 'a' in {part}:2:9 ({src}/cloudinit/30_c.yml:2:9). " + ONE_OF_TWO + ".",
    ),
    "merge_how is a mapping": (
        config("merge_how: {list: append}\nruncmd: [a]\n"),
        "merge_how is a mapping: cloud-init would drop the part ({part}:2:12). " + MERGER + ".",
    ),
    "merge_how is a number": (
        config("merge_how: 5\nruncmd: [a]\n"),
        "merge_how is a whole number: cloud-init would drop the part ({part}:2:12). " + MERGER + ".",
    ),
    "merge_how of no words": (
        config("merge_how: append\nruncmd: [a]\n"),
        "'append' is no merger ({part}:2:12). Write, for example, list(append)+dict(recurse_list).",
    ),
    "merge_how with a slip": (
        config("merge_how: lst(append)+dict()\nruncmd: [a]\n"),
        "there is no merger 'lst' ({part}:2:12). Write, for example, list(append)+dict(recurse_list).",
    ),
    "merge_how without parentheses": (
        config("merge_how: list+dict\nruncmd: [a]\n"),
        "'list' is no merger ({part}:2:12). Write, for example, list(append)+dict(recurse_list).",
    ),
    "merge_how that is not closed": (
        config("merge_how: list(append+dict()\nruncmd: [a]\n"),
        "'list(append' is no merger ({part}:2:12). Write, for example, list(append)+dict(recurse_list).",
    ),
    "merge_how without dict": (
        config("merge_how: list(append)\nruncmd: [a]\n"),
        (
            "with a merge_how without 'dict(…)' cloud-init drops the whole part ({part}:2:12). "
            "Write, for example, dict(recurse_list)+list(append)."
        ),
    ),
    "a merger without settings": (
        config("merge_how: [{name: list}]\nruncmd: [a]\n"),
        "a merger needs 'name' and 'settings' ({part}:2:13). " + MERGER + ".",
    ),
    "a merger without a name": (
        config("merge_how: [{settings: [append]}]\nruncmd: [a]\n"),
        "a merger needs 'name' and 'settings' ({part}:2:13). " + MERGER + ".",
    ),
    "a merger whose settings are a number": (
        config("merge_how: [{name: list, settings: 5}]\nruncmd: [a]\n"),
        "a merger's settings are a whole number ({part}:2:36). " + MERGER + ".",
    ),
    "a merger that is a text in a list": (
        config("merge_how: ['list(append)']\nruncmd: [a]\n"),
        "a merger is a text ({part}:2:13). " + MERGER + ".",
    ),
    "a merger that is an empty list": (
        config("merge_how: [[]]\nruncmd: [a]\n"),
        "a merger is a list ({part}:2:13). " + MERGER + ".",
    ),
    "an unknown merger in a list": (
        config("merge_how: [{name: set, settings: [append]}]\nruncmd: [a]\n"),
        "there is no merger 'set' ({part}:2:12). Did you mean 'str'.",
    ),
    "merge_type with an unknown merger": (
        config("merge_type: tuple(append)\nruncmd: [a]\n"),
        "there is no merger 'tuple' ({part}:2:13). Write, for example, list(append)+dict(recurse_list).",
    ),
    "a text appended to a list": (
        config("users: [a]\n") | second("merge_how: list(append)+dict(recurse_list,recurse_str)\nusers: b\n"),
        (
            "a text is merged into a list here, which takes it apart; the list is in {part}:2:8 "
            "({src}/cloudinit/20_b.yml:3:8). "
            "Make it a list."
        ),
    ),
}
"""Parts that contradict each other, and what they may say about merging."""
