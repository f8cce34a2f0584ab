"""Block device mappings in the command line's shorthand and in JSON."""

from __future__ import annotations

import pytest

from jenkins_ami.cloud.blockdevices import read

GOOD = {
    "one": ("DeviceName=/dev/xvda,Ebs={VolumeSize=10}", [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 10}}]),
    "all kinds of values": (
        "DeviceName=/dev/xvda,Ebs={VolumeSize=10,VolumeType=gp3,Iops=3000,Throughput=125,DeleteOnTermination=false,"
        "Encrypted=True,KmsKeyId=alias/x,SnapshotId=snap-1,VolumeInitializationRate=100}",
        [
            {
                "DeviceName": "/dev/xvda",
                "Ebs": {
                    "VolumeSize": 10,
                    "VolumeType": "gp3",
                    "Iops": 3000,
                    "Throughput": 125,
                    "DeleteOnTermination": False,
                    "Encrypted": True,
                    "KmsKeyId": "alias/x",
                    "SnapshotId": "snap-1",
                    "VolumeInitializationRate": 100,
                },
            }
        ],
    ),
    "several": (
        "DeviceName=/dev/sda1,Ebs={VolumeSize=8}   DeviceName=/dev/sdb,VirtualName=ephemeral0\n"
        "DeviceName=/dev/sdc,NoDevice=",
        [
            {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8}},
            {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
            {"DeviceName": "/dev/sdc", "NoDevice": ""},
        ],
    ),
    "quotes": (
        "DeviceName='/dev/sda 1',NoDevice=\"\"",
        [{"DeviceName": "/dev/sda 1", "NoDevice": ""}],
    ),
    "a JSON list": (
        ' [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 10, "Encrypted": true}}] ',
        [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 10, "Encrypted": True}}],
    ),
    "a JSON object": ('{"DeviceName": "/dev/xvda"}', [{"DeviceName": "/dev/xvda"}]),
    "an empty list": ("[]", []),
}
BAD = {
    "no key": ("/dev/xvda", "at character 1 there should be a key"),
    "no equals": ("DeviceName", "at character 11 there should be '='"),
    "nothing after a comma": ("DeviceName=/dev/xvda,", "at character 22 there should be a key"),
    "not closed": ("DeviceName=/dev/xvda,Ebs={VolumeSize=1", "at character 39 there should be '}'"),
    "empty braces": ("DeviceName=a,Ebs={}", "at character 19 there should be a key"),
    "quote not closed": ("DeviceName='/dev/xvda", "at character 22 there should be a closing '"),
    "something after a quote": ("DeviceName='a'b", "at character 15 there should be a comma or a blank"),
    "twice": ("DeviceName=a,DeviceName=b", "'DeviceName' is given twice"),
    "unknown": ("Devicename=/dev/xvda", "a mapping has no key 'Devicename'. Did you mean 'DeviceName'"),
    "unknown of Ebs": ("DeviceName=a,Ebs={VolumSize=1}", "'Ebs' has no key 'VolumSize'. Did you mean 'VolumeSize'"),
    "no device": ("Ebs={VolumeSize=1}", "a mapping lacks 'DeviceName'"),
    "size as a word": ("DeviceName=a,Ebs={VolumeSize=big}", "'VolumeSize' is 'big', not a whole number"),
    "size below nothing": ("DeviceName=a,Ebs={VolumeSize=-1}", "'VolumeSize' is '-1', not a whole number"),
    "neither true nor false": ("DeviceName=a,Ebs={Encrypted=yes}", "'Encrypted' is 'yes', not true or false"),
    "Ebs as a text": ("DeviceName=a,Ebs=10", "'Ebs' is a text"),
    "bad JSON": ('[{"DeviceName": ', "it is no JSON: Expecting value at character 16"),
    "JSON of numbers": ("[1]", "a mapping is a whole number"),
    "size as true": (
        '[{"DeviceName": "a", "Ebs": {"VolumeSize": true}}]',
        "'VolumeSize' is 'True', not a whole number",
    ),
    "name as a number": ('[{"DeviceName": 1}]', "'DeviceName' is '1', not a text"),
    "deep JSON": ("[" * 100_000, "it is nested too deeply"),
    "deep shorthand": ("DeviceName=" + "{a=" * 100_000, "it is nested too deeply"),
}


@pytest.mark.parametrize(("text", "mappings"), GOOD.values(), ids=GOOD)
def test_what_the_command_line_takes_is_read(text, mappings):
    assert list(read(text)) == mappings


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_said(text, message):
    with pytest.raises(ValueError) as caught:
        read(text)
    assert str(caught.value) == message
