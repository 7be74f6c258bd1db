//! A cluster's page: what EKS says of it laid out for reading, and beside what is off the way to mend it. Reads what was
//! said; asks nobody.

use super::text::Line;
use crate::{
    kinds::cluster::{Phase, Row},
    sources::aws::{
        AwsSession,
        eks::{Cluster, Issue},
        fleet::rows::is_open,
    },
    ui::theme::Role,
    util::age,
};

/// Where values begin.
const INDENT: usize = 22;
/// The control plane's logs.
const LOGS: [&str; 5] = ["api", "audit", "authenticator", "controllerManager", "scheduler"];
const HOURS: f64 = 730.0;

/// All lines of a page. `now` in Unix seconds.
pub fn lines(cluster: &Cluster, row: &Row, session: Option<&AwsSession>, now: i64) -> Vec<Line> {
    let mut page = Page { lines: Vec::new(), suffix: suffix(cluster, row, session) };
    page.state(cluster, row, now);
    page.support(cluster, row);
    page.endpoint(cluster);
    page.network(cluster);
    page.access(cluster);
    page.security(cluster);
    page.compute(cluster, row);
    page.tags(cluster);
    page.lines
}

/// What every command of the AWS CLI about the cluster ends with.
fn suffix(cluster: &Cluster, row: &Row, session: Option<&AwsSession>) -> String {
    let profile = session.and_then(AwsSession::named_profile);
    let profile = profile.map_or(String::new(), |profile| format!(" --profile {profile}"));
    format!("--name {} --region {}{profile}", cluster.name, row.region)
}

struct Page {
    lines: Vec<Line>,
    suffix: String,
}

impl Page {
    fn section(&mut self, title: &str) {
        if !self.lines.is_empty() {
            self.lines.push(Line::default());
        }
        self.lines.push(Line::role(title, Role::Accent));
    }

    fn line(&mut self, name: &str, value: &str, role: Role) {
        let mut line = Line::default();
        line.push(&format!("  {name:<width$}", width = INDENT - 2), Role::YamlKey);
        line.push(value, role);
        self.lines.push(line);
    }

    /// A value; what EKS leaves out is unknown.
    fn field(&mut self, name: &str, value: Option<&str>) {
        match value.filter(|value| !value.is_empty()) {
            Some(value) => self.line(name, value, Role::Text),
            None => self.line(name, "–", Role::Dim),
        }
    }

    fn list(&mut self, name: &str, values: &[String]) {
        if values.is_empty() {
            return self.field(name, None);
        }
        for (index, value) in values.iter().enumerate() {
            self.line(if index == 0 { name } else { "" }, value, Role::Text);
        }
    }

    /// Something that is off, with what mends it.
    fn off(&mut self, what: &str, fix: &str) {
        self.line("", &format!("▲ {what}"), Role::HealthWarn);
        self.line("", &format!("  {fix}"), Role::Dim);
    }

    fn off_by_command(&mut self, what: &str, command: &str, options: &str) {
        let fix = format!("aws eks {command} {}{}{options}", self.suffix, if options.is_empty() { "" } else { " " });
        self.off(what, &fix);
    }

    fn state(&mut self, cluster: &Cluster, row: &Row, now: i64) {
        self.section("cluster");
        self.field("name", Some(&cluster.name));
        self.field("arn", Some(&cluster.arn));
        let role = match &*cluster.status {
            "ACTIVE" => Role::HealthOk,
            "CREATING" | "UPDATING" => Role::HealthProgressing,
            _ => Role::HealthBad,
        };
        self.line("status", &cluster.status, role);
        self.field("seen by profile", Some(&row.profile));
        self.line("asked", &format!("{} ago", age::human((now - row.at).max(0))), Role::Text);
        let created = cluster.created_at.map(|at| at.strftime("%Y-%m-%d %H:%M UTC").to_string());
        self.field("created", created.as_deref());
        self.list("contexts", &row.contexts);
        for issue in &cluster.health.issues {
            let resources = issue.resource_ids.join(", ");
            let about = if resources.is_empty() { String::new() } else { format!(" ({resources})") };
            self.off(&format!("{}: {}{about}", issue.code, issue.message), fix_of(issue));
        }
        for doubt in &row.doubts {
            self.off(doubt, "`ekscope doctor` prints the policies that are needed");
        }
    }

    fn support(&mut self, cluster: &Cluster, row: &Row) {
        self.section("version and support");
        self.field("kubernetes", cluster.version.as_deref());
        self.field("platform", cluster.platform_version.as_deref());
        let policy = cluster.upgrade_policy.support_type.as_deref();
        let meaning = match policy {
            Some("STANDARD") => "STANDARD: AWS upgrades it when standard support ends",
            Some("EXTENDED") => "EXTENDED: it stays, for a higher fee",
            other => other.unwrap_or_default(),
        };
        self.field("upgrade policy", Some(meaning));
        let Some(support) = row.support else {
            return self.field("support", None);
        };
        let day =
            |at: i64| jiff::Timestamp::from_second(at).map_or(String::new(), |at| at.strftime("%Y-%m-%d").to_string());
        let role = Role::from(support.health());
        let ends = match support.phase {
            Phase::Over => format!("over since {}", day(support.ends)),
            _ => format!("{support}, until {}", day(support.ends)),
        };
        self.line("support", &ends, role);
        match row.fee {
            Some(fee) => {
                let text = format!("${fee:.2}/h, ${:.0}/month: AWS's list price, not your bill", fee * HOURS);
                self.line("control plane", &text, Role::Text);
            }
            None => self.field("control plane", None),
        }
        match (support.phase, policy) {
            (Phase::Standard, _) if support.health() == crate::store::value::Health::Ok => {}
            (Phase::Standard, Some("STANDARD")) => self.off_by_command(
                "AWS will upgrade it by itself then",
                "update-cluster-version",
                "--kubernetes-version NEXT",
            ),
            (Phase::Standard, _) => self.off_by_command(
                "its fee will be $0.60/h by list then",
                "update-cluster-version",
                "--kubernetes-version NEXT",
            ),
            (Phase::Extended, _) => self.off_by_command(
                "extended support costs $0.50/h more by list ($365/month)",
                "update-cluster-version",
                "--kubernetes-version NEXT",
            ),
            (Phase::Over, _) => self.off_by_command(
                "AWS no longer supports this version, and may upgrade it at any time",
                "update-cluster-version",
                "--kubernetes-version NEXT",
            ),
        }
    }

    fn endpoint(&mut self, cluster: &Cluster) {
        let network = &cluster.network;
        self.section("API server");
        self.field("endpoint", cluster.endpoint.as_deref());
        let word = |flag: Option<bool>| flag.map(|flag| if flag { "yes" } else { "no" });
        self.field("public", word(network.endpoint_public_access));
        if network.endpoint_public_access == Some(true) {
            self.list("public from", &network.public_access_cidrs);
        }
        self.field("private", word(network.endpoint_private_access));
        if network.endpoint_public_access == Some(true) && is_open(&network.public_access_cidrs) {
            self.off_by_command(
                "the whole internet may try to sign in",
                "update-cluster-config",
                "--resources-vpc-config publicAccessCidrs=YOUR_NETWORK",
            );
        }
        if network.endpoint_public_access == Some(true) && network.endpoint_private_access == Some(false) {
            self.off_by_command(
                "nodes reach it over its public address",
                "update-cluster-config",
                "--resources-vpc-config endpointPrivateAccess=true",
            );
        }
    }

    fn network(&mut self, cluster: &Cluster) {
        let network = &cluster.network;
        self.section("network");
        self.field("vpc", network.vpc_id.as_deref());
        self.list("subnets", &network.subnet_ids);
        self.field("cluster group", network.cluster_security_group_id.as_deref());
        self.list("security groups", &network.security_group_ids);
        let kubernetes = &cluster.kubernetes_network_config;
        let cidr = kubernetes.service_ipv4_cidr.as_deref().or(kubernetes.service_ipv6_cidr.as_deref());
        self.field("service network", cidr);
        self.field("addresses", kubernetes.ip_family.as_deref());
        let shift = cluster.zonal_shift_config.as_ref().and_then(|shift| shift.enabled);
        self.field("zonal shift", shift.map(|on| if on { "on" } else { "off" }));
    }

    fn access(&mut self, cluster: &Cluster) {
        self.section("access");
        let mode = cluster.access_config.authentication_mode.as_deref();
        self.field("authentication", mode);
        if mode == Some("CONFIG_MAP") {
            self.off_by_command(
                "who gets in stands in a ConfigMap alone, where one slip locks everybody out",
                "update-cluster-config",
                "--access-config authenticationMode=API_AND_CONFIG_MAP",
            );
        }
        self.field("role", cluster.role_arn.as_deref());
        let issuer = cluster.identity.oidc.as_ref().and_then(|oidc| oidc.issuer.as_deref());
        self.field("OIDC issuer", issuer);
    }

    fn security(&mut self, cluster: &Cluster) {
        self.section("safety");
        let keys: Vec<String> = cluster.encryption_config.iter().filter_map(|it| it.key_arn.clone()).collect();
        if keys.is_empty() {
            self.line("secrets' key", "none of your own: AWS's key, on clusters since 1.28", Role::Text);
        } else {
            self.list("secrets' key", &keys);
        }
        let enabled: Vec<String> = cluster
            .logging
            .cluster_logging
            .iter()
            .filter(|setup| setup.enabled == Some(true))
            .flat_map(|setup| setup.types.iter().cloned())
            .collect();
        let missing: Vec<&str> = LOGS.into_iter().filter(|log| !enabled.iter().any(|it| it == log)).collect();
        let logs = if enabled.is_empty() { "none".to_owned() } else { enabled.join(", ") };
        self.line("logs", &logs, Role::Text);
        if missing.contains(&"audit") {
            self.off_by_command(
                &format!("without {} nobody can tell later who did what", missing.join(", ")),
                "update-cluster-config",
                "--logging '{\"clusterLogging\":[{\"types\":[\"audit\"],\"enabled\":true}]}'",
            );
        }
        let protection = cluster.deletion_protection;
        self.field("deletion protection", protection.map(|on| if on { "on" } else { "off" }));
    }

    fn compute(&mut self, cluster: &Cluster, row: &Row) {
        self.section("compute");
        match cluster.compute_config.as_ref().and_then(|compute| compute.enabled) {
            Some(true) => {
                self.line("Auto Mode", "on", Role::Text);
                let pools = cluster.compute_config.as_ref().map_or(&[][..], |compute| &compute.node_pools);
                self.list("its pools", pools);
            }
            Some(false) => self.line("Auto Mode", "off", Role::Text),
            None => self.field("Auto Mode", None),
        }
        match &row.desired {
            Some(Ok(desired)) => self.line("managed groups want", &format!("{desired} nodes"), Role::Text),
            Some(Err(doubt)) => self.line("managed groups want", &format!("? ({doubt})"), Role::HealthUnknown),
            None => self.field("managed groups want", None),
        }
        let tier = cluster.control_plane_scaling_config.as_ref().and_then(|config| config.tier.as_deref());
        self.field("control plane tier", tier);
        let elsewhere = [
            (cluster.connector_config.is_some(), "connected to EKS, run elsewhere"),
            (cluster.outpost_config.is_some(), "on an Outpost"),
            (cluster.remote_network_config.is_some(), "with hybrid nodes"),
        ];
        for (_, text) in elsewhere.into_iter().filter(|(holds, _)| *holds) {
            self.line("place", text, Role::Text);
        }
    }

    fn tags(&mut self, cluster: &Cluster) {
        self.section("tags");
        if cluster.tags.is_empty() {
            self.line("", "none: costs cannot be told apart by tag", Role::Dim);
        }
        for (key, value) in &cluster.tags {
            self.line(key, value, Role::Text);
        }
    }
}

/// What mends what EKS finds wrong (EKS API Reference, `ClusterIssue`).
fn fix_of(issue: &Issue) -> &'static str {
    match &*issue.code {
        "AccessDenied" | "ClusterUnreachable" => "check the cluster's role and its security groups",
        "Ec2SecurityGroupNotFound" => "make the security group again, or give the cluster others",
        "Ec2SubnetNotFound" | "VpcNotFound" => "give the cluster subnets that exist: aws eks update-cluster-config",
        "IamRoleNotFound" => "make the role again under the same name: it cannot be changed",
        "InsufficientFreeAddresses" => "free five addresses in each subnet, or give the cluster other subnets",
        "KmsKeyDisabled" | "KmsGrantRevoked" => "enable the key, and let the cluster's role use it again",
        "KmsKeyMarkedForDeletion" => "cancel the key's deletion at once: aws kms cancel-key-deletion",
        "KmsKeyNotFound" => "the secrets cannot be read any more: make the cluster anew",
        "StsRegionalEndpointDisabled" => "switch on STS for this region in the account's settings of IAM",
        "UnsupportedVersion" => "upgrade the cluster: aws eks update-cluster-version",
        _ => "the EKS user guide explains the code",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::cluster::Support;

    fn text(change: impl FnOnce(&mut Cluster, &mut Row)) -> String {
        let mut cluster = Cluster { name: "prod".to_owned(), status: "ACTIVE".to_owned(), ..Cluster::default() };
        let mut row = Row { region: "eu-west-1".to_owned(), at: 1, ..Row::default() };
        change(&mut cluster, &mut row);
        let lines = lines(&cluster, &row, None, 61);
        lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_is_off_comes_with_the_way_to_mend_it() {
        let open = text(|cluster, _| {
            cluster.network.endpoint_public_access = Some(true);
            cluster.network.public_access_cidrs = vec!["0.0.0.0/0".to_owned()];
        });
        assert!(open.contains("▲ the whole internet may try to sign in"), "{open}");
        assert!(open.contains("--region eu-west-1 --resources-vpc-config publicAccessCidrs="), "{open}");
        let closed = text(|cluster, _| {
            cluster.network.endpoint_public_access = Some(true);
            cluster.network.public_access_cidrs = vec!["192.0.2.0/24".to_owned()];
        });
        assert!(!closed.contains("internet"), "{closed}");
        let extended = text(|_, row| {
            row.support = Some(Support { phase: Phase::Extended, ends: 0, days: 3 });
            row.fee = Some(0.6);
        });
        assert!(extended.contains("$0.60/h, $438/month: AWS's list price"), "{extended}");
    }

    #[test]
    fn what_was_not_said_is_unknown() {
        let empty = text(|cluster, _| *cluster = Cluster { name: "new".to_owned(), ..Cluster::default() });
        for field in ["endpoint", "support", "Auto Mode", "deletion protection", "platform", "public"] {
            let line = empty.lines().find(|line| line.trim_start().starts_with(field)).unwrap();
            assert!(line.ends_with('–'), "{line}");
        }
        assert!(empty.contains("60s ago"), "{empty}");
    }
}
