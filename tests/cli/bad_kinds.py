"""Bad parts that are no cloud-config, bad templates, and the whole line that each one gets."""

from __future__ import annotations

from .bad_configs import CONFIG, mime, part
from .bad_settings import Table, settings

KINDS: Table = {
    "an archive that is a mapping": (
        part("#cloud-config-archive\ncontent: x\n"),
        "the archive is a mapping, not a list of parts ({part}:2:1). Begin each entry with '- '.",
    ),
    "an archive that is empty": (
        part("#cloud-config-archive\n"),
        "the archive is empty, not a list of parts ({part}:1:1). Begin each entry with '- '.",
    ),
    "an archive of no entries": (
        part("#cloud-config-archive\n[]\n"),
        "the archive has no entries ({part}:2:1). Remove it, or give it some.",
    ),
    "an archive that is not YAML": (
        part('#cloud-config-archive\n- {content: "\n'),
        "invalid YAML: found unexpected end of stream (while scanning a quoted scalar from line 2) ({part}:3:1).",
    ),
    "an entry without content": (
        part("#cloud-config-archive\n- type: text/cloud-config\n"),
        (
            "entry 1 of the archive has no text as content ({part}:2:3). "
            "Write 'content: |', and the text indented below it."
        ),
    ),
    "an entry of blanks": (
        part("#cloud-config-archive\n- content: ' '\n"),
        (
            "entry 1 of the archive has no text as content ({part}:2:3). "
            "Write 'content: |', and the text indented below it."
        ),
    ),
    "an entry that is a number": (
        part("#cloud-config-archive\n- 5\n"),
        (
            "entry 1 of the archive has no text as content ({part}:2:3). "
            "Write 'content: |', and the text indented below it."
        ),
    ),
    "an entry that is a list of parts": (
        part("#cloud-config-archive\n- [a, b]\n"),
        (
            "entry 1 of the archive has no text as content ({part}:2:3). "
            "Write 'content: |', and the text indented below it."
        ),
    ),
    "an entry that is broken YAML": (
        part("#cloud-config-archive\n- content: |\n    #cloud-config\n    runcmd: [a\n"),
        "invalid YAML: did not find expected ',' or ']' (while parsing a flow sequence from line 4) ({part}:5:5).",
    ),
    "an entry with a slip in a key": (
        part("#cloud-config-archive\n- content: |\n    #cloud-config\n    pakages: [a]\n"),
        "there is no cloud-config key 'pakages' ({part}:4:5). Did you mean 'packages'.",
    ),
    "an entry that is a list": (
        part("#cloud-config-archive\n- type: text/cloud-config\n  content: |\n    - a\n"),
        "the document is a list, not a mapping ({part}:4:5).",
    ),
    "an entry of an unknown type": (
        part("#cloud-config-archive\n- {type: text/cloud-confg, content: 'a: b'}\n"),
        (
            "nothing handles the type 'text/cloud-confg': cloud-init would drop the part ({part}:2:37). "
            "Did you mean 'text/cloud-config'."
        ),
    ),
    "an entry of a type of one's own without a handler": (
        part("#cloud-config-archive\n- {type: application/x-ours, content: a}\n"),
        (
            "nothing handles the type 'application/x-ours': cloud-init would drop the part ({part}:2:39). "
            "Put its part-handler before it: NN_name.py."
        ),
    ),
    "an archive in an archive": (
        part("#cloud-config-archive\n- content: |\n    #cloud-config-archive\n    - content: 'a: b'\n"),
        "cloud-init does not look into an archive inside an archive ({part}:3:5). Put it into a file of its own.",
    ),
    "an archive in a MIME message": (
        mime("--b", "Content-Type: text/cloud-config-archive", "", "- content: x", "--b--"),
        (
            "cloud-init does not look into an archive inside an archive ({src}/cloudinit/20_m.mime:7:1). "
            "Put it into a file of its own."
        ),
    ),
    "an include in an archive": (
        part("#cloud-config-archive\n- content: |\n    #include\n    https://example.org/x\n"),
        "cloud-init does not look into an include inside an archive ({part}:3:5). Put it into a file of its own.",
    ),
    "an entry for the second instance": (
        part("#cloud-config-archive\n- {content: 'a: b', launch-index: 1}\n"),
        (
            "a launch-index other than 0: a build launches one instance, which would not get this part "
            "({part}:2:13). "
            "Remove it."
        ),
    ),
    "an entry that is a script without a header": (
        part("#cloud-config-archive\n- {type: text/x-shellscript, content: echo a}\n"),
        "the script does not begin with '#!' ({part}:2:39). Begin it with #!/bin/sh.",
    ),
    "a third of four entries is wrong": (
        part("#cloud-config-archive\n- 'hostname: a'\n- 'locale: a'\n- {content: 5}\n- 'timezone: UTC'\n"),
        (
            "entry 3 of the archive has no text as content ({part}:4:3). "
            "Write 'content: |', and the text indented below it."
        ),
    ),
    "a MIME message without a version": (
        mime("", "--b", "Content-Type: text/cloud-config", "", "#cloud-config", "hostname: a", "--b--", version=""),
        (
            "a MIME message without a MIME-Version header: cloud-init would not recognise it "
            "({src}/cloudinit/20_m.mime:1). "
            "Add 'MIME-Version: 1.0'."
        ),
    ),
    "a file for MIME messages that holds none": (
        {"cloudinit/20_m.mime": "hello\n"},
        (
            "the first line is no header that cloud-init knows: it would ignore the file "
            "({src}/cloudinit/20_m.mime:1). "
            "Begin it with 'MIME-Version: 1.0'."
        ),
    ),
    "a MIME message without an end": (
        mime("--b", "Content-Type: text/cloud-config", "", "#cloud-config", "hostname: a"),
        (
            "the MIME message is broken: its last line, --BOUNDARY--, is missing ({src}/cloudinit/20_m.mime:1). "
            "'cloud-init devel make-mime' writes good ones."
        ),
    ),
    "a MIME message without its boundary": (
        mime("--c", "Content-Type: text/cloud-config", "", "#cloud-config", "hostname: a", "--c--"),
        (
            "the MIME message is broken: no part begins with --BOUNDARY ({src}/cloudinit/20_m.mime:1). "
            "'cloud-init devel make-mime' writes good ones."
        ),
    ),
    "a MIME message without parts": (
        mime("--b--"),
        (
            "the MIME message is broken: no part begins with --BOUNDARY ({src}/cloudinit/20_m.mime:1). "
            "'cloud-init devel make-mime' writes good ones."
        ),
    ),
    "an empty part of a MIME message": (
        mime("--b", "Content-Type: text/cloud-config", "", "", "--b--"),
        "part 1 of the message is empty ({src}/cloudinit/20_m.mime:1). Remove it.",
    ),
    "a compressed part of a MIME message": (
        mime(
            "--b",
            "Content-Type: application/gzip",
            "Content-Transfer-Encoding: base64",
            "",
            "H4sIAAAAAAAAAwMAAAAAAAAAAAA=",
            "--b--",
        ),
        "part 1 is compressed ({src}/cloudinit/20_m.mime:1). Compile compresses; put it in as it is.",
    ),
    "a part of a MIME message that is no text": (
        mime("--b", "Content-Type: text/cloud-config", "Content-Transfer-Encoding: base64", "", "/////w==", "--b--"),
        (
            "part 1 of the message is no text in utf-8 ({src}/cloudinit/20_m.mime:1). "
            "Save it as UTF-8, or state its charset."
        ),
    ),
    "a part of a MIME message in an unknown character set": (
        mime("--b", "Content-Type: text/cloud-config; charset=klingon", "", "hostname: a", "--b--"),
        (
            "part 1 of the message is no text in klingon ({src}/cloudinit/20_m.mime:1). "
            "Save it as UTF-8, or state its charset."
        ),
    ),
    "a part of a MIME message of an unknown type": (
        mime("--b", "Content-Type: text/x-ours", "", "hostname: a", "--b--"),
        (
            "nothing handles the type 'text/x-ours': cloud-init would drop the part ({src}/cloudinit/20_m.mime:7:1). "
            "Put its part-handler before it: NN_name.py."
        ),
    ),
    "a broken cloud-config in a MIME message": (
        mime("--b", "Content-Type: text/cloud-config", "", "#cloud-config", "hostname: [a", "--b--"),
        (
            "invalid YAML: did not find expected ',' or ']' (while parsing a flow sequence from line 8) "
            "({src}/cloudinit/20_m.mime:9:1)."
        ),
    ),
    "a wrong X-Merge-Type in a MIME message": (
        mime(
            "--b",
            "Content-Type: text/cloud-config",
            "X-Merge-Type: lists(append)",
            "",
            "#cloud-config",
            "hostname: a",
            "--b--",
        ),
        (
            "there is no merger 'lists' ({src}/cloudinit/20_m.mime:8:1). "
            "Write, for example, list(append)+dict(recurse_list)."
        ),
    ),
    "a boothook without an interpreter": (
        {"cloudinit/20_x.sh": "#cloud-boothook\necho a\n"},
        (
            "the boothook has no '#!' line, and cloud-init could not execute it ({src}/cloudinit/20_x.sh:2). "
            "Make '#!/bin/sh' its second line."
        ),
    ),
    "a boothook with more in its first line": (
        {"cloudinit/20_x.sh": "#cloud-boothook echo\n#!/bin/sh\n"},
        (
            "'#cloud-boothook echo' is not '#cloud-boothook' ({src}/cloudinit/20_x.sh:1:1). "
            "Leave nothing else on the line."
        ),
    ),
    "a boothook that the shell cannot read": (
        {"cloudinit/20_x.sh": "#cloud-boothook\n#!/bin/sh\nif true\n"},
        'syntax error: end of file unexpected (expecting "then") ({src}/cloudinit/20_x.sh:3).',
    ),
    "a script that the shell cannot read": (
        {"cloudinit/20_x.sh": "#!/bin/sh\necho a\nfor x in a; do\n  echo 'b\n"},
        "syntax error: Unterminated quoted string ({src}/cloudinit/20_x.sh:4).",
    ),
    "a per-boot script without a header": (
        {"cloudinit/20_x.per-boot.sh": "echo a\n"},
        "the script does not begin with '#!' ({src}/cloudinit/20_x.per-boot.sh:1:1). Begin it with #!/bin/sh.",
    ),
    "a per-boot script that is a cloud-config": (
        {"cloudinit/20_x.per-boot.sh": CONFIG},
        "the script does not begin with '#!' ({src}/cloudinit/20_x.per-boot.sh:1:1). Begin it with #!/bin/sh.",
    ),
    "a part-handler without functions": (
        {"cloudinit/20_x.py": "#part-handler\nx = 1\n"},
        (
            "the part-handler has no function handle_part() ({src}/cloudinit/20_x.py:1:1). "
            "cloud-init calls list_types() and handle_part(data, ctype, filename, payload)."
        ),
    ),
    "a part-handler without handle_part": (
        {"cloudinit/20_x.py": "#part-handler\ndef list_types():\n    return []\n"},
        (
            "the part-handler has no function handle_part() ({src}/cloudinit/20_x.py:1:1). "
            "cloud-init calls list_types() and handle_part(data, ctype, filename, payload)."
        ),
    ),
    "a part-handler that is not Python": (
        {"cloudinit/20_x.py": "#part-handler\ndef list_types(:\n    return []\n"},
        "invalid Python: invalid syntax ({src}/cloudinit/20_x.py:2).",
    ),
    "a part-handler that is badly indented": (
        {"cloudinit/20_x.py": "#part-handler\ndef list_types():\nreturn []\n"},
        ("invalid Python: expected an indented block after function definition on line 2 ({src}/cloudinit/20_x.py:3)."),
    ),
    "Python of an old version in a part-handler": (
        {"cloudinit/20_x.py": "#part-handler\nprint 'a'\n"},
        (
            "invalid Python: Missing parentheses in call to 'print'. Did you mean print(...)? "
            "({src}/cloudinit/20_x.py:2)."
        ),
    ),
    "an include without a URL": (
        {"cloudinit/20_x.txt": "#include\n# soon\n"},
        "the include names no URL ({src}/cloudinit/20_x.txt:1:1). Write one URL a line.",
    ),
    "an include of a file": (
        {"cloudinit/20_x.txt": "#include\n/etc/x\n"},
        (
            "'/etc/x' is no URL ({src}/cloudinit/20_x.txt:2). "
            "The instance fetches it: write http:// or https://, one URL a line."
        ),
    ),
    "an include of a file URL": (
        {"cloudinit/20_x.txt": "#include-once\nhttps://example.org/a\nfile:///etc/x\n"},
        (
            "'file:///etc/x' is no URL ({src}/cloudinit/20_x.txt:3). "
            "The instance fetches it: write http:// or https://, one URL a line."
        ),
    ),
    "an include of two URLs in a line": (
        {"cloudinit/20_x.txt": "#include https://example.org/a https://example.org/b\n"},
        (
            "'https://example.org/a https://example.org/b' is no URL ({src}/cloudinit/20_x.txt:1). "
            "The instance fetches it: write http:// or https://, one URL a line."
        ),
    ),
    "jinja with a space too much": (
        part("##template: jinja\n#cloud-config\nhostname: a\n"),
        "'##template: jinja' is no header that cloud-init knows ({part}:1). Did you mean '## template: jinja'.",
    ),
    "jinja of another kind": (
        part("## template: jinja2\n#cloud-config\nhostname: a\n"),
        "'## template: jinja2' is not '## template: jinja' ({part}:1:1). Leave nothing else on the line.",
    ),
    "jinja that is not closed": (
        part("## template: jinja\n#cloud-config\nhostname: {{ v1.name\n"),
        "invalid template: unexpected end of template, expected 'end of print statement' ({part}:3).",
    ),
    "jinja with an unknown statement": (
        part("## template: jinja\n#cloud-config\n{% iff x %}\nhostname: a\n"),
        "invalid template: Encountered unknown tag 'iff' ({part}:3).",
    ),
    "jinja with an if that is not closed": (
        part("## template: jinja\n#cloud-config\n{% if x %}\nhostname: a\n"),
        (
            "invalid template: Unexpected end of template. Jinja was looking for the following tags: 'elif' or "
            "'else' or 'endif'. The innermost block that needs to be closed is 'if' ({part}:3)."
        ),
    ),
    "jinja without a header below": (
        part("## template: jinja\nhostname: a\n"),
        (
            "the template renders neither a '#cloud-config' nor a script: cloud-init would ignore it ({part}:2). "
            "Make '#cloud-config' or '#!/bin/sh' its second line."
        ),
    ),
    "jinja of a boothook": (
        part("## template: jinja\n#cloud-boothook\n#!/bin/sh\n"),
        (
            "the template renders neither a '#cloud-config' nor a script: cloud-init would ignore it ({part}:2). "
            "Make '#cloud-config' or '#!/bin/sh' its second line."
        ),
    ),
    "jinja of nothing": (
        part("## template: jinja\n"),
        (
            "the template renders neither a '#cloud-config' nor a script: cloud-init would ignore it ({part}:2). "
            "Make '#cloud-config' or '#!/bin/sh' its second line."
        ),
    ),
    "jinja with power_state": (
        part("## template: jinja\n#cloud-config\npower_state: {mode: reboot}\n"),
        "'power_state' belongs to compile: the power-off is the proof of success ({part}:3). Remove it.",
    ),
}
"""Parts that are no cloud-config."""

TEMPLATES: Table = {
    "an unknown name": (
        {"cloudinit/20_x.yml.j2": '#cloud-config\nhostname: "{{ nam }}"\n'},
        "template: there is no 'nam' ({src}/cloudinit/20_x.yml.j2:2:11). Did you mean 'name'.",
    ),
    "an unknown parameter": (
        {"cloudinit/20_x.yml.j2": '#cloud-config\nhostname: "{{ parameters.host }}"\n'},
        (
            "template: parameters has no 'host' ({src}/cloudinit/20_x.yml.j2:2:11). "
            "The source declares none. Secrets are for compile.sh only."
        ),
    ),
    "a slip in a parameter": (
        {"cloudinit/20_x.yml.j2": '#cloud-config\nhostname: "{{ parameters.flavor }}"\n'}
        | settings("parameters: {flavour: {default: a}}\n"),
        (
            "template: parameters has no 'flavor' ({src}/cloudinit/20_x.yml.j2:2:11). "
            "Did you mean 'flavour'. Secrets are for compile.sh only."
        ),
    ),
    "an unknown name in the third line of a block": (
        {"cloudinit/20_x.yml.j2": "#cloud-config\nx-a: |\n  a\n  b\n  {{ nam }}\n"},
        "template: there is no 'nam' ({src}/cloudinit/20_x.yml.j2:5). Did you mean 'name'.",
    ),
    "an expression outside of quotes": (
        {"cloudinit/20_x.yml.j2": "#cloud-config\nhostname: {{ name }}\n"},
        (
            "a key cannot be a list or a mapping ({src}/cloudinit/20_x.yml.j2:2:12). "
            "A template's file is YAML before it is rendered: put quotes around the text with {{ … }}."
        ),
    ),
    "a statement outside of a text": (
        {"cloudinit/20_x.yml.j2": "#cloud-config\n{% if name %}\nhostname: a\n{% endif %}\n"},
        (
            "invalid YAML: a value cannot begin with '%' ({src}/cloudinit/20_x.yml.j2:2:2). "
            "A template's file is YAML before it is rendered: {% … %} works inside one text only."
        ),
    ),
    "an expression that is not closed": (
        {"cloudinit/20_x.yml.j2": '#cloud-config\nhostname: "{{ name"\n'},
        (
            "invalid template: unexpected end of template, expected 'end of print statement' "
            "({src}/cloudinit/20_x.yml.j2:2:11)."
        ),
    ),
    "a statement that is not closed": (
        {"cloudinit/20_x.yml.j2": '#cloud-config\nhostname: "{% if name %}a"\n'},
        (
            "invalid template: Unexpected end of template. Jinja was looking for the following tags: 'elif' or "
            "'else' or 'endif'. The innermost block that needs to be closed is 'if' "
            "({src}/cloudinit/20_x.yml.j2:2:11)."
        ),
    ),
    "an unknown filter": (
        {"cloudinit/20_x.yml.j2": '#cloud-config\nhostname: "{{ name | uper }}"\n'},
        "invalid template: No filter named 'uper' ({src}/cloudinit/20_x.yml.j2:2:11).",
    ),
    "a division by zero": (
        {"cloudinit/20_x.yml.j2": '#cloud-config\nhostname: "{{ 1 / 0 }}"\n'},
        "template: an expression fails: division by zero ({src}/cloudinit/20_x.yml.j2:2:11).",
    ),
    "Python behind a value": (
        {"cloudinit/20_x.yml.j2": '#cloud-config\nhostname: "{{ name.__class__.__mro__ }}"\n'},
        "template: access to attribute '__class__' of 'str' object is unsafe ({src}/cloudinit/20_x.yml.j2:2:11).",
    ),
    "another file": (
        {"cloudinit/20_x.yml.j2": "#cloud-config\nhostname: \"{% include '/etc/passwd' %}\"\n"},
        "template: it cannot read another file ({src}/cloudinit/20_x.yml.j2:2:11).",
    ),
    "endless work": (
        {"cloudinit/20_x.yml.j2": '#cloud-config\nhostname: "{{ range(99999) | join | length * 9 ** 9999 }}"\n'},
        "template: the number becomes too large ({src}/cloudinit/20_x.yml.j2:2:11).",
    ),
    "too much text": (
        {"cloudinit/20_x.yml.j2": '#cloud-config\nx-a: "{% for a in range(99999) %}{{ name * 99 }}{% endfor %}"\n'},
        "the template renders more than 1,000,000 characters ({src}/cloudinit/20_x.yml.j2:2:6).",
    ),
    "two keys that become one": (
        {"cloudinit/20_x.yml.j2": '#cloud-config\napt:\n  "{{ name }}": a\n  test: b\n'},
        "key 'test' is given twice once it is rendered, first in line 3 ({src}/cloudinit/20_x.yml.j2:4:3).",
    ),
    "quotes around an expression in a script": (
        {"cloudinit/20_x.sh.j2": '#!/bin/sh\necho "{{ name }}"\n'},
        (
            "{{ … }} is one quoted word already, and stands in double quotes ({src}/cloudinit/20_x.sh.j2:2). "
            "Assign it first, without quotes: name={{ … }}."
        ),
    ),
    "an unknown name in a script": (
        {"cloudinit/20_x.sh.j2": "#!/bin/sh\nset -e\necho {{ nam }}\n"},
        "template: there is no 'nam' ({src}/cloudinit/20_x.sh.j2:3). Did you mean 'name'.",
    ),
    "the length of a shell variable in a script": (
        {"cloudinit/20_x.sh.j2": "#!/bin/sh\necho ${#HOME}\n"},
        (
            "invalid template: Missing end of comment tag ({src}/cloudinit/20_x.sh.j2:2). "
            "In templates, '{#' begins a comment: put {% raw %} and {% endraw %} around ${#…}."
        ),
    ),
    "a script for Python": (
        {"cloudinit/20_x.sh.j2": "#!/usr/bin/python3\nprint({{ name }})\n"},
        (
            "a template of a script is for shells, and python3 does not read what is quoted for them "
            "({src}/cloudinit/20_x.sh.j2:1:1). "
            "Write the values to a file in a .sh.j2, and read them from there."
        ),
    ),
    "nothing is left of it": (
        {"cloudinit/20_x.sh.j2": "{% if false %}#!/bin/sh\n{% endif %}"},
        (
            "nothing is left of the template once it is rendered ({src}/cloudinit/20_x.sh.j2:1:1). "
            "Put its conditions inside the script."
        ),
    ),
    "an archive": (
        {"cloudinit/20_x.yml.j2": "#cloud-config-archive\n- content: 'a: b'\n"},
        "an archive cannot be a template ({src}/cloudinit/20_x.yml.j2:1:1).",
    ),
}
"""Files that compile renders."""
