//! The company whose cluster this is: names of namespaces, teams and services. Data only.

/// Namespaces of the platform, which have workloads of their own in `platform()`.
pub const SYSTEM_NAMESPACES: [&str; 14] = [
    "default",
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "amazon-cloudwatch",
    "argocd",
    "cert-manager",
    "external-dns",
    "external-secrets",
    "karpenter",
    "logging",
    "monitoring",
    "traefik",
    "velero",
];

/// Namespaces of the product: name, team, services. A service that ends in `-db`, `-cache` or `-queue` keeps state; one
/// that ends in `-job` runs by the clock.
pub const PRODUCT: [(&str, &str, &[&str]); 26] = [
    ("payments", "payments", &["api", "worker", "ledger", "psp-gateway", "webhooks", "payments-db", "settlement-job"]),
    ("checkout", "checkout", &["web", "cart", "cart-cache", "pricing-client", "abandoned-carts-job"]),
    ("catalog", "catalog", &["api", "indexer", "import-worker", "catalog-db", "feed-export-job"]),
    ("search", "discovery", &["query", "suggest", "ranker", "search-db", "reindex-job"]),
    ("orders", "orders", &["api", "saga", "events-relay", "orders-db", "orders-queue"]),
    ("inventory", "supply", &["api", "stock-sync", "inventory-db", "recount-job"]),
    ("shipping", "supply", &["rates", "labels", "tracking", "carrier-bridge", "tracking-cache"]),
    ("identity", "identity", &["auth", "sessions", "sessions-cache", "sso", "identity-db"]),
    ("notifications", "engage", &["email", "push", "sms", "templates", "notifications-queue"]),
    ("recommendations", "discovery", &["serving", "features", "candidate-gen", "features-cache", "train-job"]),
    ("fraud", "risk", &["scoring", "rules", "case-api", "graph-db", "backtest-job"]),
    ("billing", "payments", &["invoices", "tax", "dunning", "billing-db", "close-month-job"]),
    ("media", "content", &["upload", "transcode", "images", "thumbs-cache", "cleanup-job"]),
    ("reviews", "engage", &["api", "moderation", "reviews-db"]),
    ("loyalty", "engage", &["points", "tiers", "loyalty-db", "expire-points-job"]),
    ("partner-api", "partners", &["gateway", "quota", "sandbox", "quota-cache"]),
    ("mobile-bff", "mobile", &["ios", "android", "graphql", "bff-cache"]),
    ("storefront", "web", &["web", "ssr", "assets", "edge-config", "sitemap-job"]),
    ("customer-support", "care", &["inbox", "chat", "macros", "support-db"]),
    ("marketing", "growth", &["campaigns", "segments", "attribution", "segments-db", "audience-export-job"]),
    ("experiments", "growth", &["assign", "metrics", "dashboards", "rollup-job"]),
    ("data-platform", "data", &["ingest", "stream", "schema-registry", "kafka-queue", "compaction-job"]),
    ("reporting", "data", &["bi", "exports", "warehouse-sync", "daily-report-job"]),
    ("ml-inference", "ml", &["embeddings", "reranker", "vision", "model-cache"]),
    ("internal-tools", "platform", &["backoffice", "admin", "feature-flags", "audit-log", "flags-cache"]),
    ("staging", "platform", &["api", "web", "worker", "staging-db", "seed-job"]),
];

/// The flavours in which a large company runs one service again.
pub const VARIANTS: [&str; 12] =
    ["", "-v2", "-batch", "-internal", "-eu", "-us", "-apac", "-async", "-admin", "-edge", "-canary", "-shadow"];

/// A workload of the platform.
pub struct Platform {
    pub namespace: &'static str,
    pub name: &'static str,
    pub image: &'static str,
    pub replicas: u32,
    pub cpu: u32,
    pub memory_mib: u32,
    pub sidecars: &'static [&'static str],
}

const fn platform(
    namespace: &'static str,
    name: &'static str,
    image: &'static str,
    replicas: u32,
    (cpu, memory_mib): (u32, u32),
    sidecars: &'static [&'static str],
) -> Platform {
    Platform { namespace, name, image, replicas, cpu, memory_mib, sidecars }
}

/// Daemon sets, the most needed first: a small world leaves the last ones out.
#[rustfmt::skip]
pub const DAEMON_SETS: [Platform; 7] = [
    platform("kube-system", "aws-node", "602401143452.dkr.ecr.eu-west-1.amazonaws.com/amazon-k8s-cni:v1.20.4-eksbuild.1", 0, (25, 0), &["aws-eks-nodeagent"]),
    platform("kube-system", "kube-proxy", "602401143452.dkr.ecr.eu-west-1.amazonaws.com/eks/kube-proxy:v1.34.0-minimal-eksbuild.4", 0, (100, 0), &[]),
    platform("kube-system", "ebs-csi-node", "602401143452.dkr.ecr.eu-west-1.amazonaws.com/eks/aws-ebs-csi-driver:v1.51.0", 0, (10, 40), &["node-driver-registrar", "liveness-probe"]),
    platform("logging", "fluent-bit", "public.ecr.aws/aws-observability/aws-for-fluent-bit:2.34.1", 0, (50, 100), &[]),
    platform("monitoring", "node-exporter", "quay.io/prometheus/node-exporter:v1.10.2", 0, (20, 32), &[]),
    platform("kube-system", "eks-pod-identity-agent", "602401143452.dkr.ecr.eu-west-1.amazonaws.com/eks/eks-pod-identity-agent:v0.1.33", 0, (10, 24), &[]),
    platform("amazon-cloudwatch", "cloudwatch-agent", "public.ecr.aws/cloudwatch-agent/cloudwatch-agent:1.300062.0", 0, (50, 200), &[]),
];

/// Deployments of the platform.
#[rustfmt::skip]
pub const PLATFORM: [Platform; 22] = [
    platform("kube-system", "coredns", "602401143452.dkr.ecr.eu-west-1.amazonaws.com/eks/coredns:v1.12.4-eksbuild.1", 2, (100, 70), &[]),
    platform("kube-system", "metrics-server", "602401143452.dkr.ecr.eu-west-1.amazonaws.com/eks/metrics-server:v0.8.0-eksbuild.3", 2, (100, 200), &[]),
    platform("kube-system", "cluster-autoscaler", "registry.k8s.io/autoscaling/cluster-autoscaler:v1.35.2", 1, (100, 600), &[]),
    platform("kube-system", "aws-load-balancer-controller", "public.ecr.aws/eks/aws-load-balancer-controller:v2.14.1", 2, (100, 128), &[]),
    platform("kube-system", "ebs-csi-controller", "602401143452.dkr.ecr.eu-west-1.amazonaws.com/eks/aws-ebs-csi-driver:v1.51.0", 2, (10, 40), &["csi-provisioner", "csi-attacher", "csi-resizer"]),
    platform("karpenter", "karpenter", "public.ecr.aws/karpenter/controller:1.8.2", 2, (1000, 1024), &[]),
    platform("argocd", "argocd-server", "quay.io/argoproj/argocd:v3.2.0", 2, (100, 256), &[]),
    platform("argocd", "argocd-repo-server", "quay.io/argoproj/argocd:v3.2.0", 2, (250, 512), &[]),
    platform("argocd", "argocd-applicationset-controller", "quay.io/argoproj/argocd:v3.2.0", 1, (100, 128), &[]),
    platform("argocd", "argocd-redis", "public.ecr.aws/docker/library/redis:8.2.2-alpine", 1, (100, 64), &[]),
    platform("cert-manager", "cert-manager", "quay.io/jetstack/cert-manager-controller:v1.19.1", 1, (10, 64), &[]),
    platform("cert-manager", "cert-manager-cainjector", "quay.io/jetstack/cert-manager-cainjector:v1.19.1", 1, (10, 64), &[]),
    platform("cert-manager", "cert-manager-webhook", "quay.io/jetstack/cert-manager-webhook:v1.19.1", 2, (10, 32), &[]),
    platform("external-dns", "external-dns", "registry.k8s.io/external-dns/external-dns:v0.20.0", 1, (10, 64), &[]),
    platform("external-secrets", "external-secrets", "oci.external-secrets.io/external-secrets/external-secrets:v1.1.0", 2, (20, 128), &[]),
    platform("monitoring", "grafana", "docker.io/grafana/grafana:12.3.0", 1, (100, 256), &["grafana-sc-dashboard"]),
    platform("monitoring", "kube-state-metrics", "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.17.0", 1, (50, 256), &[]),
    platform("monitoring", "prometheus-operator", "quay.io/prometheus-operator/prometheus-operator:v0.86.2", 1, (50, 128), &[]),
    platform("traefik", "traefik", "docker.io/traefik:v3.6.2", 3, (500, 256), &[]),
    platform("velero", "velero", "docker.io/velero/velero:v1.17.1", 1, (100, 128), &[]),
    platform("logging", "log-router", "docker.io/timberio/vector:0.51.1-alpine", 2, (200, 256), &[]),
    platform("default", "netshoot", "docker.io/nicolaka/netshoot:v0.14", 1, (0, 0), &[]),
];
