//! Services.

use bytes::Bytes;

use super::{
    At, Decoder, Definition, Drill, Kind, Wired,
    wire::{Entry, ObjectMeta, text, wire},
    workload::format_labels,
};
use crate::store::{
    intern::{Interner, Sym},
    value::Health,
};

pub struct Service;

wire! {
    pub struct ServiceObject {
        #[prost(message, tag = "1")] pub metadata: Option<ObjectMeta>,
        #[prost(message, tag = "2")] pub spec: Option<ServiceSpec>,
        #[prost(message, tag = "3")] pub status: Option<ServiceStatus>,
    }

    pub struct ServiceSpec {
        #[prost(message, repeated, tag = "1")] pub ports: Vec<ServicePort>,
        #[prost(message, repeated, tag = "2")] pub selector: Vec<Entry>,
        #[prost(bytes = "bytes", tag = "3")] #[serde(rename = "clusterIP")] pub cluster_ip: Bytes,
        #[prost(bytes = "bytes", tag = "4")] pub r#type: Bytes,
        #[prost(bytes = "bytes", repeated, tag = "5")] #[serde(rename = "externalIPs")] pub external_ips: Vec<Bytes>,
        #[prost(bytes = "bytes", tag = "10")] pub external_name: Bytes,
        #[prost(bytes = "bytes", repeated, tag = "18")] #[serde(rename = "clusterIPs")] pub cluster_ips: Vec<Bytes>,
        #[prost(bytes = "bytes", tag = "21")] pub load_balancer_class: Bytes,
    }

    pub struct ServicePort {
        #[prost(bytes = "bytes", tag = "2")] pub protocol: Bytes,
        #[prost(int32, tag = "3")] pub port: i32,
        #[prost(int32, tag = "5")] pub node_port: i32,
    }

    pub struct ServiceStatus {
        #[prost(message, tag = "1")] pub load_balancer: Option<LoadBalancerStatus>,
    }

    pub struct LoadBalancerStatus {
        #[prost(message, repeated, tag = "1")] pub ingress: Vec<LoadBalancerIngress>,
    }

    pub struct LoadBalancerIngress {
        #[prost(bytes = "bytes", tag = "1")] pub ip: Bytes,
        #[prost(bytes = "bytes", tag = "2")] pub hostname: Bytes,
    }
}

/// What is kept of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub kind: Sym,
    pub cluster_ip: Sym,
    pub external_ip: Sym,
    pub ports: Sym,
    pub class: Sym,
    /// Empty where it selects nothing.
    pub selector: Sym,
    pub health: Health,
}

const PENDING: &str = "<pending>";

/// kubectl's EXTERNAL-IP, in full as with `-o wide`.
fn external_ip(spec: &ServiceSpec, status: Option<&ServiceStatus>) -> String {
    let external: Vec<String> = spec.external_ips.iter().map(|ip| text(ip).into_owned()).collect();
    match spec.r#type.as_ref() {
        b"ClusterIP" | b"NodePort" if external.is_empty() => "<none>".to_owned(),
        b"ClusterIP" | b"NodePort" => external.join(","),
        b"LoadBalancer" => {
            let ingress =
                status.and_then(|status| status.load_balancer.as_ref()).map_or(&[][..], |balancer| &balancer.ingress);
            let mut all: Vec<String> = ingress
                .iter()
                .map(|ingress| if ingress.ip.is_empty() { &ingress.hostname } else { &ingress.ip })
                .filter(|address| !address.is_empty())
                .map(|address| text(address).into_owned())
                .collect();
            all.sort_unstable();
            all.dedup();
            all.extend(external);
            if all.is_empty() { PENDING.to_owned() } else { all.join(",") }
        }
        b"ExternalName" => text(&spec.external_name).into_owned(),
        _ => "<unknown>".to_owned(),
    }
}

/// kubectl's PORT(S): `80/TCP`, `80:30080/TCP`.
fn ports(ports: &[ServicePort]) -> String {
    let ports: Vec<String> = ports
        .iter()
        .map(|port| match (port.port, port.node_port, text(&port.protocol)) {
            (port, node_port, protocol) if node_port > 0 => format!("{port}:{node_port}/{protocol}"),
            (port, _, protocol) => format!("{port}/{protocol}"),
        })
        .collect();
    ports.join(",")
}

impl Wired for Service {
    type Wire = ServiceObject;

    fn meta(wire: &ServiceObject) -> &ObjectMeta {
        wire.metadata.as_ref().unwrap_or(&super::NO_META)
    }

    fn row(wire: &ServiceObject, interner: &mut Interner) -> Row {
        let spec = wire.spec.clone().unwrap_or_default();
        let external_ip = external_ip(&spec, wire.status.as_ref());
        Row {
            kind: interner.bytes(&spec.r#type),
            cluster_ip: interner.bytes(spec.cluster_ips.first().unwrap_or(&spec.cluster_ip)),
            health: if external_ip == PENDING { Health::Warn } else { Health::Ok },
            external_ip: interner.text(&external_ip),
            ports: interner.text(&ports(&spec.ports)),
            class: interner.bytes(&spec.load_balancer_class),
            selector: if spec.selector.is_empty() { Sym::EMPTY } else { interner.text(&format_labels(&spec.selector)) },
        }
    }
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::NAMESPACE,
    Column::NAME,
    Column::text("type", "How it is reached", |row, at| at.plain(row.kind)).rank(1),
    Column::text("cluster-ip", "Address in the cluster", |row, at| at.symbol(row.cluster_ip)).rank(2),
    Column::text("external-ip", "Address from outside", |row, at| at.symbol(row.external_ip)).rank(3),
    Column::text("port(s)", "Port, port on the nodes, protocol", |row, at| at.symbol(row.ports)).rank(2),
    Column::text("class", "Who makes the load balancer", |row, at| at.symbol(row.class)).wide(),
    Column::text("selector", "Labels of its pods", |row, at| at.symbol(row.selector)).wide(),
    Column::LABELS,
    Column::AGE,
];

impl Kind for Service {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "services",
        kind: "Service",
        group: "",
        version: "v1",
        namespaced: true,
        aliases: &["svc", "service"],
        sort: None,
        joins: &[],
    };

    fn columns() -> &'static [Column] {
        COLUMNS
    }

    fn health(row: &Row, _at: &At<'_>) -> Health {
        row.health
    }

    fn drill(row: &Row, at: &At<'_>) -> Option<Drill> {
        // A name elsewhere has no pods here, whatever it selects.
        if at.world.symbols.get(row.kind) == "ExternalName" { None } else { at.selected_pods(row.selector) }
    }

    fn decoder() -> Box<dyn Decoder> {
        Self::wired()
    }
}
