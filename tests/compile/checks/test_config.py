"""Keys and types of cloud-configs: each mistake with the line it gets, and what is right passes."""

import json

import pytest
import yaml

from jenkins_ami.compile.checks.config import closest, known_keys
from jenkins_ami.errors import Location
from jenkins_ami.findings import Fix

from .conftest import check_folder

YML = "cloudinit/10_a.yml"
KEY, TYPE, MODE = "cloud-config-key error", "cloud-config-type error", "cloud-config-mode error"

BAD = {
    "typo": ("pakages: [a]", f"{KEY} 2:1: there is no cloud-config key 'pakages'. Did you mean 'packages'."),
    "singular": ("package: [a]", f"{KEY} 2:1: there is no cloud-config key 'package'. Did you mean 'packages'."),
    "upper case": ("Packages: [a]", f"{KEY} 2:1: there is no cloud-config key 'Packages'. Did you mean 'packages'."),
    "dash": (
        "write-files: []",
        f"{KEY} 2:1: there is no cloud-config key 'write-files'. Did you mean 'write_files'.",
    ),
    "split word": ("boot_cmd: [a]", f"{KEY} 2:1: there is no cloud-config key 'boot_cmd'. Did you mean 'bootcmd'."),
    "nested typo": (
        "swap: {filename: /x, szie: 1G}",
        f"{KEY} 2:22: 'swap' has no key 'szie'. Did you mean 'size'.",
    ),
    "typo in a list": (
        "write_files:\n  - path: /x\n    contents: a",
        f"{KEY} 4:5: 'write_files' has no key 'contents'. Did you mean 'content'.",
    ),
    "typo of a user": (
        "users:\n  - name: a\n    group: wheel",
        f"{KEY} 4:5: 'users' has no key 'group'. Did you mean 'groups'.",
    ),
    "typo under free names": (
        "apt:\n  sources:\n    mine: {sorce: ppa:x}",
        f"{KEY} 4:12: 'apt.sources.mine' has no key 'sorce'. Did you mean 'source'.",
    ),
    "typo in an alternative": (
        "ntp: {server: [a]}",
        f"{KEY} 2:7: 'ntp' has no key 'server'. Did you mean 'servers'.",
    ),
    "file without path": ("write_files:\n  - content: a", f"{KEY} 3:5: 'write_files' lacks 'path'. Add 'path:'."),
    "keyboard without layout": ("keyboard: {model: pc105}", f"{KEY} 2:11: 'keyboard' lacks 'layout'. Add 'layout:'."),
    "phone_home without url": ("phone_home: {tries: 3}", f"{KEY} 2:13: 'phone_home' lacks 'url'. Add 'url:'."),
    "text for a list": (
        "packages: curl",
        f"{TYPE} 2:11: 'packages' is a text, not a list. Write [ ] around it, or '- ' before it.",
    ),
    "list for a text": ("timezone: [Europe/Berlin]", f"{TYPE} 2:11: 'timezone' is a list, not a text."),
    "list for a mapping": ("swap: [a]", f"{TYPE} 2:7: 'swap' is a list, not a mapping."),
    "mapping for a list": ("bootcmd: {a: b}", f"{TYPE} 2:10: 'bootcmd' is a mapping, not a list."),
    "command that is a mapping": (
        "bootcmd:\n  - echo a: b",
        f"{TYPE} 3:5: an entry of 'bootcmd' is a mapping, not a text or a list. Quote a text that contains ': '.",
    ),
    "number for a text": ("hostname: 42", f"{TYPE} 2:11: 'hostname' is a whole number, not a text. Put it in quotes."),
    "number in a list": (
        "packages: [curl, 7]",
        f"{TYPE} 2:18: an entry of 'packages' is a whole number, not a text, a list or a mapping. Put it in quotes.",
    ),
    "layout no": (
        "keyboard: {layout: no}",
        f"{TYPE} 2:20: 'keyboard.layout' is true or false, not a text. Put it in quotes.",
    ),
    "date": (
        "users:\n  - name: a\n    expiredate: 2030-01-31",
        f"{TYPE} 4:17: 'users.expiredate' is a date, not a text. Put it in quotes.",
    ),
    "version as a float": (
        "packages:\n  - [nginx, 1.22]",
        f"{TYPE} 3:13: an entry of 'packages' is a number, not a text. Put it in quotes.",
    ),
    "quoted boolean": (
        'package_update: "yes"',
        f"{TYPE} 2:17: 'package_update' is a text, not true or false. Write it without quotes.",
    ),
    "text for a boolean": ("package_update: maybe", f"{TYPE} 2:17: 'package_update' is a text, not true or false."),
    "boolean for a number": (
        "phone_home: {url: http://x/, tries: yes}",
        f"{TYPE} 2:37: 'phone_home.tries' is true or false, not a whole number.",
    ),
    "unknown word": (
        "write_files:\n  - {path: /x, encoding: hex, content: a}",
        f"{TYPE} 3:26: 'write_files.encoding' cannot be 'hex'. "
        "Use gz, gzip, gz+base64, gzip+base64, gz+b64, gzip+b64, b64, base64 or text/plain.",
    ),
    "unknown word in a list": (
        "ssh_genkeytypes: [rsa, ed448]",
        f"{TYPE} 2:24: an entry of 'ssh_genkeytypes' cannot be 'ed448'. Use rsa, ecdsa, ed25519 or dsa.",
    ),
    "partition table": (
        "disk_setup:\n  /dev/vdb: {table_type: dos}",
        f"{TYPE} 3:26: 'disk_setup./dev/vdb.table_type' cannot be 'dos'. Use mbr or gpt.",
    ),
    "decimal mode": (
        "write_files:\n  - {path: /x, permissions: 644}",
        f'{MODE} 3:29: the mode 644 is a decimal number, octal 1204. Write "0644".',
    ),
    "mode in letters": (
        "write_files:\n  - {path: /x, permissions: rw-r--r--}",
        f"{MODE} 3:29: 'rw-r--r--' is no mode. Write octal digits in quotes, like \"0644\".",
    ),
    "unknown key": (
        "flux_capacitor: on",
        "cloud-config-key warning 2:1: there is no cloud-config key 'flux_capacitor'. cloud-init ignores it, unless a "
        "part-handler or a newer version knows it; 'x-…' is for your own.",
    ),
    "unknown nested key": (
        "swap: {colour: red}",
        "cloud-config-key warning 2:8: 'swap' has no key 'colour'. "
        "cloud-init ignores it. Known: filename, maxsize, size.",
    ),
    "no value": (
        "packages:\nhostname: a",
        "cloud-config-type warning 2:1: 'packages' has no value. Remove it, or give it a list.",
    ),
}


@pytest.mark.parametrize(("text", "line"), BAD.values(), ids=BAD)
def test_a_mistake_is_one_line_that_names_the_place(text, line, found):
    assert [one.replace(f"{YML}:", "") for one in found({YML: f"#cloud-config\n{text}\n"})] == [line]


GOOD = {
    "packages": "packages: [a, [b, '1.2'], {snap: [c, [d, --edge]]}]",
    "commands": "bootcmd: [echo a, [ls, -l, 3], null]",
    "octal mode": "write_files: [{path: /x, permissions: 0644}, {path: /y, permissions: '0755'}]",
    "binary content": "write_files: [{path: /x, content: !!binary aGVsbG8=, append: true, owner: 'a:b'}]",
    "encoding in capitals": "write_files: [{path: /x, encoding: B64, content: aGVsbG8=}]",
    "users": "users: [default, bob, {name: al, uid: 5, sudo: false, groups: a, ssh-authorized-keys: [k]}]",
    "users by name": "users: {bob: true, al: {gecos: Al, sudo: [a, b]}}",
    "groups": "groups: [a, {b: [c, d]}, {e: f}]",
    "ntp without value": "ntp:",
    "mounts": "mounts: [[vdb, /srv, auto, 'defaults,nofail', 0, 2], [swap, null]]",
    "one's own key": "x-common: &a {path: /x, content: a}\nwrite_files: [*a, {<<: *a, path: /y}]",
    "yum": "yum_repos: {epel: {name: E, baseurl: http://x/, gpgcheck: true, enabled: 1, priority: 3}}",
    "disks": "fs_setup: [{device: /dev/vdb, partition: auto, filesystem: ext4, cmd: [a, b]}]\n"
    "disk_setup: {/dev/vdb: {layout: [50, [50, 82]], table_type: GPT}}",
    "old spellings": "ca-certs: {remove-defaults: true, trusted: [a]}\napt_update: true\ngrub-dpkg: {enabled: no}",
    "switches": "locale: false\ngrowpart: {mode: 'off'}\nresize_rootfs: noblock\nssh_pwauth: unchanged",
    "apt": "apt: {primary: [{arches: [default], uri: http://x/}], conf: a, sources: {x.list: {source: y}}}",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_what_cloud_init_takes_is_not_reported(text, found):
    assert found({YML: f"#cloud-config\n{text}\n"}) == []


FIXES = {
    "pakages: [a]": "packages: [a]",
    '"pakages": [a]': None,
    "hostname: 42": 'hostname: "42"',
    "packages: curl": "packages: [curl]",
    'package_update: "On"': "package_update: true",
    "write_files: [{path: /x, permissions: 755}]": 'write_files: [{path: /x, permissions: "0755"}]',
    "write_files: [{path: /x, permissions: 999}]": None,
    "x-a: &n 5\nhostname: *n": None,
    "keyboard: {layout: no}": 'keyboard: {layout: "no"}',
}


def apply(text: str, fix: Fix) -> str:
    rows = text.splitlines(keepends=True)
    row = rows[fix.start.line - 1]
    rows[fix.start.line - 1] = row[: fix.start.column - 1] + fix.text + row[fix.end.column - 1 :]
    return "".join(rows)


@pytest.mark.parametrize(("text", "mended"), FIXES.items())
def test_a_fix_mends_what_it_belongs_to(text, mended, make_source):
    root = make_source({YML: f"#cloud-config\n{text}\n"})
    (finding,) = check_folder(root)
    if mended is None:
        assert finding.fix is None
        return
    assert apply((root / YML).read_text(), finding.fix) == f"#cloud-config\n{mended}\n"
    (root / YML).write_text(f"#cloud-config\n{mended}\n")
    assert check_folder(root) == []


def test_a_part_of_an_archive_has_its_place_in_the_file_and_a_fix(make_source):
    archive = "#cloud-config-archive\n- type: text/cloud-config\n  content: |\n    hostname: a\n    timezon: UTC\n"
    root = make_source({YML: archive})
    (finding,) = check_folder(root)
    assert finding.where == Location(root / YML, 5, 5)
    assert apply(archive, finding.fix).endswith("    timezone: UTC\n")


def test_all_mistakes_of_all_files_are_told(found):
    lines = found(
        {YML: "#cloud-config\npakages: [a]\nhostname: 1\n", "cloudinit/20_b.yml": "#cloud-config\nruncdm: [a]\n"}
    )
    assert [line.split()[2] for line in lines] == [f"{YML}:2:1:", f"{YML}:3:11:", "cloudinit/20_b.yml:2:1:"]


def test_every_top_level_key_of_debians_cloud_init_is_known(cloud_init):
    schema = json.loads((cloud_init / "cloudinit/config/schemas/schema-cloud-config-v1.json").read_text())
    modules = {key for name, one in schema["$defs"].items() if name.startswith("cc_") for key in one["properties"]}
    assert len(modules) > 80
    assert modules <= known_keys().keys()


def test_the_examples_in_cloud_inits_modules_are_not_refused(cloud_init, make_source):
    """Each module documents itself with cloud-configs."""
    seen = 0
    for module in sorted((cloud_init / "cloudinit/config").glob("cc_*.py")):
        for number, text in enumerate(examples_of(module.read_text())):
            root = make_source({YML: f"#cloud-config\n{text}"}, name=f"{module.stem}-{number}")
            errors = [one for one in check_folder(root) if one.level == "error" and one.rule != "secret"]
            errors = [one for one in errors if not one.rule.startswith("shell")]
            assert errors == [], (module.name, text)
            seen += 1
    assert seen > 60


def examples_of(source: str) -> list[str]:
    """The cloud-configs in ``meta["examples"]`` that are mappings."""
    import ast

    texts = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "examples" and isinstance(value, ast.List):
                    texts += [text for item in value.elts if (text := text_of(item))]
    documents = ((text, yaml.safe_load(text)) for text in texts)
    return [text for text, value in documents if isinstance(value, dict) and "power_state" not in value]


def text_of(node: object) -> str:
    """Of ``dedent("…")`` or a plain constant."""
    import ast
    import textwrap

    inner = node.args[0] if isinstance(node, ast.Call) and node.args else node
    if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
        return textwrap.dedent(inner.value)
    return ""


def test_a_key_is_close_only_when_it_is_a_slip():
    assert closest("Run-Cmd", ["runcmd", "users"], 0.8) == "runcmd"
    assert closest("application", ["apt", "packages", "snap"], 0.8) is None
