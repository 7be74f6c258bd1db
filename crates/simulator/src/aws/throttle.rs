//! How many calls AWS takes: a bucket of tokens for each service and region, filled again at a steady rate. Sizes are of
//! the order of the real ones (EC2 API Reference, "Request throttling"; Auto Scaling and EKS do not publish theirs).

use std::collections::HashMap;

use super::Service;

/// What a bucket holds, and how many tokens come a second.
fn size(service: Service, changes: bool) -> (f64, f64) {
    match (service, changes) {
        (Service::Ec2, false) => (100.0, 20.0),
        (Service::Eks, false) => (100.0, 20.0),
        (Service::AutoScaling, false) => (60.0, 15.0),
        (Service::Ec2 | Service::Eks | Service::AutoScaling, true) => (20.0, 5.0),
        (Service::Sts, _) => (600.0, 600.0),
        (Service::Ssm, _) => (40.0, 40.0),
        (Service::Pricing, _) => (10.0, 10.0),
    }
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    /// Milliseconds since 1970.
    at: i64,
}

/// All buckets of the account.
#[derive(Debug, Default)]
pub struct Throttle(HashMap<(Service, String, bool), Bucket>);

impl Throttle {
    /// Takes a token for a call at `now` (milliseconds since 1970, real time); false where there is none.
    pub fn admit(&mut self, service: Service, region: &str, operation: &str, now: i64) -> bool {
        let changes = !["Describe", "List", "Get"].iter().any(|word| operation.starts_with(word));
        let (most, rate) = size(service, changes);
        let bucket = self.0.entry((service, region.to_owned(), changes));
        let bucket = bucket.or_insert(Bucket { tokens: most, at: now });
        #[allow(clippy::cast_precision_loss)] // Days of milliseconds are far below 2^52.
        let passed = (now - bucket.at).max(0) as f64 / 1000.0;
        bucket.tokens = (bucket.tokens + passed * rate).min(most);
        bucket.at = now;
        let granted = bucket.tokens >= 1.0;
        if granted {
            bucket.tokens -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_runs_dry_and_fills_again() {
        let mut throttle = Throttle::default();
        let mut ask = |region: &str, now| throttle.admit(Service::Eks, region, "ListClusters", now);
        assert!((0..100).all(|_| ask("eu-west-1", 0)));
        assert!(!ask("eu-west-1", 0));
        assert!(ask("us-east-1", 0), "another region has its own");
        assert!(ask("eu-west-1", 50), "a token comes every 50 ms");
        assert!(!ask("eu-west-1", 50));
    }
}
