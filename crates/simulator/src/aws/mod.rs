//! The AWS side of the demo world: EKS, Auto Scaling, EC2, STS, SSM and the price list of one account.
//!
//! `cloud` is what there is: clusters, groups, instances, seeded from the simulated cluster's machines. `scaling` is what
//! becomes of a change, on the world's clock; `plans` is what changes groups by itself; `machines` lets instances join the
//! cluster and leave it. `cluster_autoscaler` is what scales by itself, and `autoscaler_status` what it says of itself;
//! `fleet` are clusters that are only known by name. `eks`, `autoscaling`, `ec2` and `listings` are the operations, values
//! in and values out; `server` takes requests apart and `answer` puts answers together in the protocol of each service.
//! `signature` knows who asks. Knows nothing of who asks.

pub mod answer;
mod autoscaler_status;
mod autoscaling;
pub mod cloud;
pub mod cluster_autoscaler;
mod ec2;
mod eks;
mod fleet;
pub mod group;
mod input;
mod listings;
pub mod machines;
pub mod plans;
pub mod scaling;
pub mod server;
pub mod shop;
pub mod signature;
pub mod throttle;

#[cfg(test)]
mod tests;

use serde_json::Value;

use self::answer::Failure;
use super::world::World;

/// The services, each with its own way to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    Eks,
    AutoScaling,
    Ec2,
    Sts,
    Ssm,
    Pricing,
}

impl Service {
    /// By the name that requests are signed for.
    pub fn signed_as(name: &str) -> Option<Self> {
        Some(match name {
            "eks" => Self::Eks,
            "autoscaling" => Self::AutoScaling,
            "ec2" => Self::Ec2,
            "sts" => Self::Sts,
            "ssm" => Self::Ssm,
            "pricing" => Self::Pricing,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Eks => "eks",
            Self::AutoScaling => "autoscaling",
            Self::Ec2 => "ec2",
            Self::Sts => "sts",
            Self::Ssm => "ssm",
            Self::Pricing => "pricing",
        }
    }
}

/// One call, taken apart.
#[derive(Debug, Clone)]
pub struct Call {
    pub service: Service,
    /// As permissions name it; empty where the service has no such path.
    pub operation: String,
    pub region: String,
    /// Parameters of the path, the query, the form or the body, by their names.
    pub input: Value,
}

/// Does what a call asks for.
pub fn perform(world: &mut World, call: &Call) -> Result<Value, Failure> {
    cloud::open(world);
    match call.service {
        Service::Eks => eks::perform(world, call),
        Service::AutoScaling => autoscaling::perform(world, call),
        Service::Ec2 => ec2::perform(world, call),
        Service::Sts | Service::Ssm | Service::Pricing => listings::perform(world, call),
    }
}
