"""Creates what the tests look at, by boto3, on moto's server whose URL is the argument."""

import json
import sys

import boto3

options = dict(region_name="eu-west-1", endpoint_url=sys.argv[1], aws_access_key_id="k", aws_secret_access_key="s")
ec2 = boto3.client("ec2", **options)
subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
eks = boto3.client("eks", **options)
eks.create_cluster(name="prod", roleArn="arn:aws:iam::123456789012:role/eks", version="1.33",
                   resourcesVpcConfig={"subnetIds": subnets})
eks.create_nodegroup(clusterName="prod", nodegroupName="spot-a", subnets=subnets, capacityType="SPOT",
                     nodeRole="arn:aws:iam::123456789012:role/node", instanceTypes=["m5.large"],
                     scalingConfig={"minSize": 1, "maxSize": 6, "desiredSize": 3}, labels={"pool": "spot"},
                     taints=[{"key": "spot", "value": "true", "effect": "NO_SCHEDULE"}])
eks.create_fargate_profile(clusterName="prod", fargateProfileName="fp", selectors=[{"namespace": "batch"}],
                           podExecutionRoleArn="arn:aws:iam::123456789012:role/fp", subnets=subnets)
image = ec2.describe_images()["Images"][0]["ImageId"]
template = ec2.create_launch_template(
    LaunchTemplateName="lt", LaunchTemplateData={"ImageId": image, "InstanceType": "m5.large"})["LaunchTemplate"]
scaling = boto3.client("autoscaling", **options)
scaling.create_auto_scaling_group(
    AutoScalingGroupName="self-managed", MinSize=0, MaxSize=5, DesiredCapacity=2, VPCZoneIdentifier=",".join(subnets),
    LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"], "Version": "1"},
    Tags=[{"Key": "kubernetes.io/cluster/prod", "Value": "owned", "PropagateAtLaunch": True}])
print(json.dumps({"subnets": subnets, "template": template["LaunchTemplateId"]}))
