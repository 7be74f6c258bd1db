//! The demo world's AWS side as boto3 and the AWS CLI see it, and beside moto's server.
//!
//! Skipped with a notice where `EKSCOPE_MOTO_VENV` names no virtual environment with them (`tests/aws/moto.sh`).

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test may fail, and says what it sees"
)]

#[path = "aws/moto.rs"]
mod moto;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use ekscope::sim::{Handle, Options, spawn};
use moto::{Moto, programs};
use serde_json::Value;

fn demo() -> Handle {
    spawn(Options { nodes: 24, pods: 100, live: true, speed: 60.0, ..Options::default() }).expect("the demo world")
}

fn variable(demo: &Handle, name: &str) -> String {
    demo.environment().into_iter().find(|(known, _)| *known == name).expect("a variable").1
}

#[test]
fn its_answers_have_the_shape_of_motos() {
    let Some(moto) = Moto::start() else { return };
    moto.script("seed.py");
    let demo = demo();
    // A group with an instance, to have one to compare.
    let aws = Cli::new(&demo);
    aws.ask("autoscaling set-desired-capacity --auto-scaling-group-name demo-batch --desired-capacity 1");
    aws.wait_for_instances(1);
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/aws/shape.py");
    let places = ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| variable(&demo, name));
    let output = Command::new(aws.programs.join("python")).arg(script).args(places).arg(&moto.url).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(result["differences"], serde_json::json!([]), "{result:#}");
    assert_eq!(result["compared"], 21);
}

/// The AWS CLI on the demo's account.
struct Cli {
    programs: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl Cli {
    fn new(demo: &Handle) -> Self {
        Self { programs: programs().expect("the programs"), variables: demo.environment() }
    }

    /// What a call prints, as JSON; null where it prints nothing.
    fn ask(&self, line: &str) -> Value {
        let mut command = Command::new(self.programs.join("aws"));
        for (name, value) in &self.variables {
            if value.is_empty() {
                command.env_remove(name);
            } else {
                command.env(name, value);
            }
        }
        let output = command.args(line.split(' ')).args(["--output", "json"]).output().expect("the AWS CLI");
        assert!(output.status.success(), "aws {line}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Until so many instances of the group `demo-batch` are in service.
    fn wait_for_instances(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let answer = self.ask("autoscaling describe-auto-scaling-groups --auto-scaling-group-names demo-batch");
            let instances = answer["AutoScalingGroups"][0]["Instances"].as_array().cloned().unwrap_or_default();
            if instances.iter().filter(|it| it["LifecycleState"] == "InService").count() == count {
                return;
            }
            assert!(Instant::now() < deadline, "no {count} instances: {answer:#}");
        }
    }
}

#[test]
fn the_aws_cli_reads_and_scales_it() {
    if programs().is_none() {
        return;
    }
    let demo = demo();
    let aws = Cli::new(&demo);
    assert_eq!(aws.ask("sts get-caller-identity")["Account"], "123456789012");
    assert_eq!(aws.ask("eks list-clusters")["clusters"], serde_json::json!(["demo"]));
    let group = aws.ask("eks describe-nodegroup --cluster-name demo --nodegroup-name general-od");
    let desired = group["nodegroup"]["scalingConfig"]["desiredSize"].as_u64().unwrap();
    for (line, list) in [
        ("eks list-fargate-profiles --cluster-name demo", "fargateProfileNames"),
        ("eks list-addons --cluster-name demo", "addons"),
        ("eks describe-cluster-versions", "clusterVersions"),
        ("autoscaling describe-auto-scaling-instances", "AutoScalingInstances"),
        ("ec2 describe-spot-price-history --instance-types m5.2xlarge", "SpotPriceHistory"),
        ("ec2 describe-launch-template-versions --launch-template-id lt-0f3b2a1c4d5e6f708", "LaunchTemplateVersions"),
        ("pricing get-products --region us-east-1 --service-code AmazonEC2", "PriceList"),
    ] {
        assert!(aws.ask(line)[list].as_array().is_some_and(|all| !all.is_empty()), "{line}");
    }
    let name = "/aws/service/eks/optimized-ami/1.34/amazon-linux-2023/x86_64/standard/recommended/release_version";
    assert!(aws.ask(&format!("ssm get-parameter --name {name}"))["Parameter"]["Value"].is_string());
    // Pages of two are put together by the CLI itself.
    let all = aws.ask("eks list-nodegroups --cluster-name demo --page-size 2");
    assert_eq!(all["nodegroups"].as_array().map(Vec::len), Some(5));
    let line = format!(
        "eks update-nodegroup-config --cluster-name demo --nodegroup-name general-od --scaling-config desiredSize={}",
        desired + 1
    );
    let update = aws.ask(&line)["update"]["id"].as_str().unwrap().to_owned();
    let line = format!("eks describe-update --name demo --nodegroup-name general-od --update-id {update}");
    let deadline = Instant::now() + Duration::from_secs(120);
    while aws.ask(&line)["update"]["status"] != "Successful" {
        assert!(Instant::now() < deadline, "the update does not end");
    }
}
