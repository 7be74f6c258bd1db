"""Asks moto's server and the demo world the same by boto3, and prints where their answers differ in shape.

Arguments: URL, key and secret of the demo world, then moto's URL; moto was seeded by seed.py. Values differ, of course:
compared are which fields there are and of which type, and codes of errors."""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

demo_url, demo_key, demo_secret, moto_url = sys.argv[1:5]


def clients(url, key, secret):
    options = dict(region_name="eu-west-1", endpoint_url=url, aws_access_key_id=key, aws_secret_access_key=secret,
                   config=Config(retries={"max_attempts": 1}))
    return {name: boto3.client(name, **options) for name in ["eks", "autoscaling", "ec2", "sts", "ssm"]}


class Side:
    def __init__(self, url, key, secret, cluster, group, own):
        self.clients, self.cluster, self.own = clients(url, key, secret), cluster, own
        self.group = group
        groups = self.ask("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[own])
        self.instances = [it["InstanceId"] for it in groups["AutoScalingGroups"][0]["Instances"]]

    def ask(self, service, operation, **parameters):
        answer = getattr(self.clients[service], operation)(**parameters)
        answer.pop("ResponseMetadata")
        return answer

    def calls(self):
        """What is asked; each name once."""
        cluster, group = self.cluster, self.group
        return {
            "GetCallerIdentity": lambda: self.ask("sts", "get_caller_identity"),
            "ListClusters": lambda: self.ask("eks", "list_clusters"),
            "DescribeCluster": lambda: self.ask("eks", "describe_cluster", name=cluster),
            "ListNodegroups": lambda: self.ask("eks", "list_nodegroups", clusterName=cluster),
            "DescribeNodegroup": lambda: self.ask("eks", "describe_nodegroup", clusterName=cluster, nodegroupName=group),
            "ListFargateProfiles": lambda: self.ask("eks", "list_fargate_profiles", clusterName=cluster),
            "DescribeAutoScalingGroups": lambda: self.ask(
                "autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[self.own]),
            "DescribeScalingActivities": lambda: self.ask(
                "autoscaling", "describe_scaling_activities", AutoScalingGroupName=self.own),
            "DescribeScheduledActions": lambda: self.ask(
                "autoscaling", "describe_scheduled_actions", AutoScalingGroupName=self.own),
            "DescribeInstances": lambda: self.ask("ec2", "describe_instances", InstanceIds=self.instances[:1]),
            "DescribeSubnets": lambda: self.ask("ec2", "describe_subnets"),
            "DescribeInstanceTypes": lambda: self.ask("ec2", "describe_instance_types", InstanceTypes=["m5.large"]),
            "DescribeRegions": lambda: self.ask("ec2", "describe_regions"),
            "DescribeAvailabilityZones": lambda: self.ask("ec2", "describe_availability_zones"),
            "DescribeSpotPriceHistory": lambda: self.ask(
                "ec2", "describe_spot_price_history", InstanceTypes=["m5.large"], ProductDescriptions=["Linux/UNIX"]),
            "UpdateNodegroupConfig": lambda: self.ask(
                "eks", "update_nodegroup_config", clusterName=cluster, nodegroupName=group,
                scalingConfig={"minSize": 1, "maxSize": 9, "desiredSize": 3}),
            "SetDesiredCapacity": lambda: self.ask(
                "autoscaling", "set_desired_capacity", AutoScalingGroupName=self.own, DesiredCapacity=1),
            "error: no such cluster": lambda: self.ask("eks", "describe_cluster", name="nowhere"),
            "error: no such group": lambda: self.ask(
                "eks", "describe_nodegroup", clusterName=cluster, nodegroupName="nowhere"),
            "error: no such instance": lambda: self.ask(
                "ec2", "describe_instances", InstanceIds=["i-00000000000000000"]),
            "error: no such subnet": lambda: self.ask("ec2", "describe_subnets", SubnetIds=["subnet-00000000"]),
        }


# What moto says and the demo world does not: of no use to anybody who looks at clusters, or invented by moto.
LEFT_OUT = {
    "DescribeCluster": {"clientRequestToken", "encryptionConfig", "connectorConfig", "remoteNetworkConfig"},
    "DescribeNodegroup": {"remoteAccess", "remoteAccessSecurityGroup"},
    "DescribeInstances": {
        "BlockDeviceMappings", "NetworkInterfaces", "SecurityGroups", "ClientToken", "KernelId", "KeyName",
        "PublicDnsName", "PublicIpAddress", "SourceDestCheck", "StateTransitionReason", "RequesterId", "HostId",
        "MetadataOptions", "HibernationOptions", "CapacityReservationSpecification", "CpuOptions", "EnaSupport", "SriovNetSupport",
        "StateReason", "Platform",
    },
    "DescribeSubnets": {"Ipv6CidrBlockAssociationSet", "AvailabilityZoneId", "Ipv6Native", "EnableDns64",
                        "PrivateDnsNameOptionsOnLaunch", "MapCustomerOwnedIpOnLaunch", "CustomerOwnedIpv4Pool",
                        "OutpostArn", "Tags"},
    "DescribeInstanceTypes": None,
    "DescribeAvailabilityZones": {"ZoneId", "GroupName", "NetworkBorderGroup", "Messages", "ParentZoneId",
                                  "ParentZoneName"},
    "DescribeAutoScalingGroups": {"LaunchTemplate", "MixedInstancesPolicy", "WarmPoolConfiguration", "WarmPoolSize",
                                  "Instances", "EnabledMetrics", "MaxInstanceLifetime", "PlacementGroup"},
    "UpdateNodegroupConfig": None,
}


def differences(operation, path, moto, ours):
    left_out = LEFT_OUT.get(operation, set())
    if isinstance(moto, dict) and isinstance(ours, dict):
        if left_out is None:
            common = moto.keys() & ours.keys()
        else:
            common = [key for key in moto if key not in left_out]
        for key in common:
            # What moto has and says nothing with may be left out.
            if key not in ours:
                if moto[key] not in ([], {}, "", None):
                    yield f"{operation}: {path}.{key} is missing"
            else:
                yield from differences(operation, f"{path}.{key}", moto[key], ours[key])
    elif isinstance(moto, list) and isinstance(ours, list):
        if moto and ours:
            yield from differences(operation, f"{path}[]", moto[0], ours[0])
        elif moto:
            yield f"{operation}: {path} is empty"
    elif moto is not None and ours is not None and type(moto) is not type(ours):
        yield f"{operation}: {path} is {type(ours).__name__}, moto has {type(moto).__name__}"


def answer(call):
    try:
        return call(), None
    except ClientError as error:
        return None, (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"])


moto = Side(moto_url, "k", "s", "prod", "spot-a", "self-managed")
ours = Side(demo_url, demo_key, demo_secret, "demo", "memory-od", "demo-batch")
found, compared = [], 0
ours_calls = ours.calls()
for operation, call in moto.calls().items():
    (theirs, their_error), (own, own_error) = answer(call), answer(ours_calls[operation])
    compared += 1
    if their_error != own_error:
        found.append(f"{operation}: {own_error}, moto says {their_error}")
    elif theirs is not None:
        found.extend(differences(operation, "", theirs, own))
print(json.dumps({"compared": compared, "differences": found}))
