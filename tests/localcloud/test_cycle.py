"""The whole life of an instance and of the image made from it, with a real Debian inside.

That what it changed is in the image, and the image boots, is what ``bake --test`` shows with an example.
"""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.localcloud.conftest import Cloud, client, until

pytestmark = pytest.mark.boot

FIRST = """#cloud-config
runcmd:
  - [cloud-init, query, --format, 'EC2={{{{ds.meta_data.instance_id}}}}']
  - [python3, -c, 'import urllib.request as u; open("/root/from-s3", "wb").write(u.urlopen("{url}").read())']
  - [sh, -c, 'echo "FIRST $(cat /root/from-s3) $(cloud-id)" > /dev/console']
power_state: {{mode: poweroff, timeout: 30, condition: test -s /root/from-s3}}
"""

SECOND = "#cloud-config\npower_state: {mode: poweroff, timeout: 30}\n"


def test_an_instance_knows_where_it_is_and_its_image_launches_another_one(cloud: Cloud, base_image: Path) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="word", Body=b"hello-from-s3")
    inside = client("http://169.254.169.253", "s3")
    url = inside.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "word"})
    base = cloud.store.add(base_image, name="base", boot_mode="uefi-preferred")

    first = cloud.launch(
        base.id,
        InstanceType="t3.small",
        UserData=FIRST.format(url=url),
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
    )
    until(lambda: cloud.instance(first)["State"]["Name"] != "running", 900, every=1)
    console = cloud.console(first)
    assert cloud.instance(first)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown", console
    assert f"EC2={first}" in console
    assert "FIRST hello-from-s3 aws" in console

    image = cloud.create_image(first, "made")
    assert image["State"] == "available"
    cloud.ec2.terminate_instances(InstanceIds=[first])
    cloud.wait(first, "terminated")

    second = cloud.launch(
        image["ImageId"],
        InstanceType="t3.small",
        UserData=SECOND,
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 5}}],
    )
    assert (
        base64.b64decode(
            cloud.ec2.describe_instance_attribute(InstanceId=second, Attribute="userData")["UserData"]["Value"]
        )
        == SECOND.encode()
    )
    (volume,) = cloud.instance(second)["BlockDeviceMappings"]
    (volume,) = cloud.ec2.describe_volumes(VolumeIds=[volume["Ebs"]["VolumeId"]])["Volumes"]
    assert (volume["Size"], cloud.instance(second)["State"]["Name"]) == (5, "running")
    cloud.ec2.terminate_instances(InstanceIds=[second])
    cloud.wait(second, "terminated")
    cloud.ec2.deregister_image(ImageId=image["ImageId"], DeleteAssociatedSnapshots=True)
    assert [path.name for path in cloud.store.disks.iterdir()] == [f"{base.snapshot_id}.qcow2"]
