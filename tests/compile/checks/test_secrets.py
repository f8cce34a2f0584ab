"""Secrets in clear: each kind with the line it gets, and what looks like one but is none."""

import base64
import gzip
import subprocess

import pytest

from jenkins_ami.compile.checks.patterns import assignments, tokens

from ...conftest import EXAMPLES
from .conftest import check_folder, lines

YML, SH, ENV, CONF = "cloudinit/10_a.yml", "cloudinit/10_a.sh", "ami.env", "fs/etc/app.conf"

BODY = "MIIEowIBAAKCAQEAwX0Rz2Yt7yXo5JkqB3Jq2s8b7l0C5xk3fPq"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n-----END RSA PRIVATE KEY-----\n"
AWS_ID = "AKIA" + "Z7QF3WXJ2NVL5TKM"
AWS_SECRET = "q8Zr2Xv/Lk4Jt7Pw+Yc1Hn6Bs9Dm3Gf5Ra0UeKiT"
GITHUB = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
GITLAB = "glpat-" + "x7Kq2Zr9Vw4Lp1Nt8Ys3"
SLACK = "xoxb-" + "123456789012-abcDEF123ghiJKL456"
AMI = "NAME=a\nVERSION=1\nBASE=scratch\n"


def config(text: str) -> dict[str, str]:
    return {YML: f"#cloud-config\n{text}\n"}


def indented(text: str, by: int = 6) -> str:
    return "".join(" " * by + row for row in text.splitlines(keepends=True)).rstrip()


BAD = {
    "private key": ({SH: f"#!/bin/sh\ncat <<E\n{PEM}E\n"}, f"{SH}:3:1: a private key"),
    "private key in a cloud-config": (
        config(f"write_files:\n  - path: /k\n    content: |\n{indented(PEM)}"),
        f"{YML}:5:7: a private key",
    ),
    "host key": (config(f"ssh_keys:\n  rsa_private: |\n{indented(PEM, 4)}"), f"{YML}:4:5: a private key"),
    "OpenSSH key": ({"fs/root/.ssh/id": PEM.replace("RSA", "OPENSSH")}, "fs/root/.ssh/id:1:1: a private key"),
    "private key in JSON": (
        {"fs/opt/a.json": '{"key": "' + PEM.replace("\n", "\\n") + '"}'},
        "fs/opt/a.json:1:10: a private key",
    ),
    "private key in base64": (
        {"fs/etc/k.b64": "x\n" + base64.encodebytes(PEM.encode()).decode()},
        "fs/etc/k.b64:2:1: a private key in base64",
    ),
    "private key in base64 of something else": (
        {"fs/etc/k.b64": base64.b64encode(b"ab" + PEM.encode()).decode()},
        "fs/etc/k.b64:1:4: a private key in base64",
    ),
    "private key in encoded content": (
        config(f"write_files:\n  - {{path: /k, encoding: b64, content: {base64.b64encode(PEM.encode()).decode()}}}"),
        f"{YML}:3:40: a private key in base64",
    ),
    "password in compressed content": (
        config(
            "write_files:\n  - path: /k\n    encoding: gz+b64\n    content: "
            + base64.b64encode(gzip.compress(b"DB_PASSWORD=tr0ub4dor", mtime=0)).decode()
        ),
        f"{YML}:5:14: 'DB_PASSWORD' with its value in clear",
    ),
    "AWS key": ({ENV: f"{AMI}AWS_ID={AWS_ID}\nAWS_KEY={AWS_SECRET}\n"}, f"{ENV}:4:8: an AWS access key"),
    "AWS secret by its name": (
        {"fs/root/.aws/credentials": f"[default]\naws_secret_access_key = {AWS_SECRET}\n"},
        "fs/root/.aws/credentials:2:1: 'aws_secret_access_key' with its value in clear",
    ),
    "GitHub token": (config(f"runcmd:\n  - echo {GITHUB} | gh auth login"), f"{YML}:3:10: a GitHub token"),
    "GitHub token in a URL": (
        config(f"runcmd:\n  - git clone https://x:{GITHUB}@github.com/a/b"),
        f"{YML}:3:25: a GitHub token",
    ),
    "GitLab token": ({SH: f"#!/bin/sh\nx {GITLAB}\n"}, f"{SH}:2:3: a GitLab token"),
    "Slack token": ({"ami.yaml": f"description: {SLACK}\n"}, "ami.yaml:1:14: a Slack token"),
    "password in a URL": (
        config("apt: {https_proxy: 'http://bob:sesame@proxy:3128'}"),
        f"{YML}:2:32: a password in a http URL",
    ),
    "variable of ami.env": ({ENV: f"{AMI}DB_PASSWORD=sesame\n"}, f"{ENV}:4:1: 'DB_PASSWORD' with its value in clear"),
    "token of ami.env": (
        {ENV: f"{AMI}JENKINS_TOKEN='11a2b3c4d5e6f70819'\n"},
        f"{ENV}:4:1: 'JENKINS_TOKEN' with its value in clear",
    ),
    "export": ({SH: "#!/bin/sh\n\nexport PGPASSWORD=sesame\n"}, f"{SH}:3:8: 'PGPASSWORD' with its value in clear"),
    "single quotes": ({SH: "#!/bin/sh\nPASSWORD='a$b-c'\n"}, f"{SH}:2:1: 'PASSWORD' with its value in clear"),
    "word in runcmd": (config("runcmd:\n  - [env, PASSWORD=sesame, run]"), f"{YML}:3:11: 'PASSWORD' with its value"),
    "compile.sh": ({"script/compile.sh": "#!/bin/sh\napi_token=8f3Kq9Zr2Xv7\n"}, "script/compile.sh:2:1: 'api_token'"),
    "install.sh": ({"script/install.sh": "#!/bin/sh\npassword=sesame\n"}, "script/install.sh:2:1: 'password'"),
    "default user": (config("password: sesame"), f"{YML}:2:11: 'password' with its value in clear"),
    "passwd without hash": (
        config("users:\n  - name: bob\n    passwd: sesame"),
        f"{YML}:4:13: 'passwd' is no hash but a password in clear",
    ),
    "plain_text_passwd": (
        config("users:\n  - {name: bob, plain_text_passwd: changeme}"),
        f"{YML}:3:36: 'plain_text_passwd' with its value in clear",
    ),
    "chpasswd, text": (
        config("chpasswd:\n  list: |\n    al:$6$a$b\n    bob:sesame"),
        f"{YML}:5:5: the password of 'bob' in clear",
    ),
    "chpasswd, list": (config("chpasswd:\n  list:\n    - bob:sesame"), f"{YML}:4:7: the password of 'bob' in clear"),
    "chpasswd, users": (
        config("chpasswd:\n  users:\n    - {name: bob, type: text, password: sesame}"),
        f"{YML}:4:41: a password in clear",
    ),
    "key of a module": (config("rh_subscription: {username: a, password: s3same}"), f"{YML}:2:42: 'password' with"),
    "written configuration": (
        config("write_files:\n  - path: /x\n    content: |\n      db:\n        password: s3same"),
        f"{YML}:6:9: 'password' with its value in clear",
    ),
    "overlay": ({CONF: "[db]\nuser = a\npassword = sesame\n"}, f"{CONF}:3:1: 'password' with its value in clear"),
    "overlay in JSON": ({"fs/etc/a.json": '{"dbPassword": "sesame"}\n'}, "fs/etc/a.json:1:3: 'dbPassword'"),
    "curl": (config("runcmd:\n  - curl -fsS -u bob:sesame https://x/"), f"{YML}:3:22: a password in a command"),
    "chpasswd from a pipe": (config("runcmd:\n  - echo 'root:sesame' | chpasswd"), f"{YML}:3:16: a password in a comm"),
    "chpasswd from a here-document": ({SH: "#!/bin/sh\nchpasswd <<E\nroot:sesame\nE\n"}, f"{SH}:3:6: a password in"),
    "option": ({SH: "#!/bin/sh\nrun --password sesame\n"}, f"{SH}:2:16: a password in a command"),
}


@pytest.mark.parametrize(("files", "line"), BAD.values(), ids=BAD)
def test_a_secret_is_one_line_that_names_the_place_and_the_way_out(files, line, found):
    (one,) = found(files)
    assert one.startswith(f"secret error {line}")
    name = line.split(":")[0]
    assert one.endswith(f"Fetch it at run time, or allow it by 'checks: {{allow_secrets: [{name}]}}' in ami.yaml.")


@pytest.mark.parametrize("files", [files for files, _ in BAD.values()], ids=BAD)
def test_a_secret_is_never_printed(files, found):
    text = "\n".join(found(files, thorough=True))
    for secret in (
        BODY,
        AWS_SECRET,
        GITHUB,
        GITLAB,
        SLACK,
        "sesame",
        "s3same",
        "tr0ub4dor",
        "changeme",
        "a$b-c",
        "8f3Kq",
    ):
        assert secret not in text


WARNED = {
    "encrypted key": (
        {"fs/etc/k.pem": f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{BODY}\n"},
        "fs/etc/k.pem:1:1: an encrypted private key",
    ),
    "id of an AWS key alone": ({CONF: f"id = {AWS_ID}\n"}, f"{CONF}:1:6: the id of an AWS access key"),
    "Amazon's example": (
        {CONF: "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n"},
        f"{CONF}:1:1: the AWS access key of Amazon's documentation",
    ),
}


@pytest.mark.parametrize(("files", "line"), WARNED.values(), ids=WARNED)
def test_what_is_hardly_a_secret_is_a_warning(files, line, found):
    (one,) = found(files)
    assert one.startswith(f"secret warning {line}")


GOOD = {
    "variables": {SH: '#!/bin/sh\nPASSWORD=$1\nTOKEN="$(cat /run/t)"\nSECRET="${X}"\nexport API_KEY=`get key`\n'},
    "files of secrets": {SH: "#!/bin/sh\nPASSWORD_FILE=/run/p\nTOKEN=/run/secrets/token\ncurl -u bob:$P https://x\n"},
    "places to fill in": {CONF: "password = <password>\nsecret: ${DB_SECRET}\ntoken={{ token }}\npassword=@PASS@\n"},
    "nothing": {CONF: "password =\npassword: ''\ntoken: null\npassword = ********\n"},
    "manual": {CONF: "# proxy: http://user:password@proxy.example.com:3128/\nurl = https://host:443/a@b\n"},
    "settings about passwords": {
        CONF: "PasswordAuthentication no\nMAX_PASSWORD=no\npassword_min=12\ntoken_timeout = 3600\nuse_secret=true\n"
    },
    "name services": {CONF: "passwd: files systemd\nshadow: files\n"},
    "comment": {CONF: "# password: the password that the client sends\n#secret = secret\n"},
    "public key": config(
        "ssh_authorized_keys:\n  - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7q2Zr9Vw4Lp1Nt8Ys3x7Kq2Zr9Vw4Lp1Nt8Ys3 bob"
    ),
    "certificate": {"fs/etc/c.pem": f"-----BEGIN CERTIFICATE-----\n{BODY}\n-----END CERTIFICATE-----\n"},
    "certificate in base64": {
        "fs/etc/c.b64": base64.b64encode(f"-----BEGIN CERTIFICATE-----\n{BODY}\n".encode() * 3).decode()
    },
    "program that looks for keys": {"fs/usr/bin/x": "#!/bin/bash\ngrep -- '-----BEGIN RSA PRIVATE KEY-----' \"$1\"\n"},
    "hashes": config(
        "users:\n  - {name: a, passwd: $6$salt$hash}\n  - {name: b, hashed_passwd: '!'}\n"
        "chpasswd:\n  list: ['c:$6$a$b', 'd:R', 'e:RANDOM']\n"
        "  users: [{name: f, password: $y$j9T$x}, {name: g, type: RANDOM}]"
    ),
    "locks": config("ssh_pwauth: false\nusers: [{name: a, lock_passwd: true}]"),
    "digest": {SH: f"#!/bin/sh\necho '{'0123456789abcdef' * 4}  x' | sha256sum -c\n"},
    "shortened token": {CONF: "ghp_" + "x" * 36 + "\nglpat-...\n"},
    "source of a program": {"fs/opt/app/main.py": "password = get_password()\npassword = 'unset'\n"},
    "binary": {"fs/usr/bin/b": b"\0\1\2" + PEM.encode()},
    "large file": {"fs/etc/large": PEM + "#" * (1 << 20)},
}


@pytest.mark.parametrize("files", GOOD.values(), ids=GOOD)
def test_what_is_no_secret_in_clear_is_not_reported(files, found):
    assert found(files) == []


@pytest.mark.parametrize("glob", [YML, "cloudinit/*", "*.yml"])
def test_a_file_can_be_allowed_to_hold_secrets(glob, found):
    files = {
        "ami.yaml": f"checks:\n  allow_secrets: ['{glob}']\n",
        **config("password: sesame"),
        CONF: "password=a-b\n",
    }
    assert [one.split()[2] for one in found(files)] == [f"{CONF}:1:1:"]


def test_the_overlay_is_searched_whole_only_when_thorough(found):
    files = {"fs/usr/share/app/key.txt": PEM}
    assert found(files) == []
    assert [one.split(":")[0] for one in found(files, thorough=True)] == ["secret error fs/usr/share/app/key.txt"]


def test_of_one_line_one_thing_is_said(found):
    assert len(found(config(f"password: {GITHUB}"))) == 1


def test_an_unreadable_file_is_named(make_source):
    from jenkins_ami.compile.checks import check
    from jenkins_ami.compile.members import scan
    from jenkins_ami.findings import Findings
    from jenkins_ami.source.reader import read_source

    root = make_source({YML: "#cloud-config\npackages: [a]\n", CONF: "a=b\n"})
    source, findings = read_source(root), Findings()
    members = scan(source, root, findings)
    (root / CONF).unlink()
    check((), source, root, members, findings, thorough=True)
    assert lines(findings.items, root) == [f"file error {CONF}:1:1: cannot be read: No such file or directory."]


def test_a_real_key_is_found_in_each_of_its_forms(tmp_path):
    """Keys as ssh-keygen and openssl write them."""
    key = tmp_path / "key"
    for kind in (["-t", "ed25519"], ["-t", "rsa", "-m", "PEM"], ["-t", "ecdsa", "-m", "PKCS8"]):
        subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", key, *kind], check=True)
        assert [hit.what for hit in tokens(key.read_text())] == ["a private key"]
        assert list(tokens(key.with_suffix(".pub").read_text())) == []
        key.unlink()
    subprocess.run(["ssh-keygen", "-q", "-N", "sesame", "-m", "PEM", "-t", "rsa", "-f", key], check=True)
    assert [hit.what for hit in tokens(key.read_text())] == ["an encrypted private key"]


@pytest.mark.parametrize("text", ["a" * 200_000, "password" * 30_000, "AKIA" * 40_000, '"' * 50_000, "://a:" * 30_000])
def test_a_long_line_takes_no_long_time(text):
    """Finishes at all: a pattern that backtracks would not."""
    assert list(tokens(text)) == []
    assert list(assignments(text)) == []


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.iterdir() if (path / "ami.env").exists()))
def test_the_examples_are_clean(example):
    assert check_folder(EXAMPLES / example, thorough=True) == []


def test_the_broken_examples_are_broken_elsewhere():
    for path in sorted((EXAMPLES / "broken").iterdir()):
        if path.is_dir():
            assert check_folder(path, thorough=True) == [], path
