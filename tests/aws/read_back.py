"""Prints what boto3 sees of the groups after the tests have changed them."""

import json
import sys

import boto3

options = dict(region_name="eu-west-1", endpoint_url=sys.argv[1], aws_access_key_id="k", aws_secret_access_key="s")
group = boto3.client("eks", **options).describe_nodegroup(clusterName="prod", nodegroupName="spot-a")["nodegroup"]
own = boto3.client("autoscaling", **options).describe_auto_scaling_groups(AutoScalingGroupNames=["self-managed"])
print(json.dumps({"managed": group["scalingConfig"], "own": own["AutoScalingGroups"][0]["DesiredCapacity"]}))
