//! What most tools do: kube's typed pods, listed in pages of 500 and kept whole by reference, as its reflector does. (Its
//! runtime crate would be built for this alone.)

use std::{
    collections::HashMap,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::ListParams};

use super::pty;

pub struct Plain {
    pub synced: Duration,
    pub memory: u64,
}

/// Runs the client in a process of its own, for its memory.
pub fn measure(kubeconfig: &Path) -> Plain {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--plain", &kubeconfig.display().to_string()])
        .output()
        .expect("the plain client runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
    let (micros, memory) = (numbers.next().expect("its time"), numbers.next().expect("its memory"));
    Plain { synced: Duration::from_micros(micros), memory }
}

/// The client: prints microseconds, bytes and pods.
pub fn run(kubeconfig: &str) {
    let started = Instant::now();
    ekscope::sources::net::transport::install_crypto();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let config = kube::config::Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let config = kube::Config::from_custom_kubeconfig(config, &kube::config::KubeConfigOptions::default())
            .await
            .expect("a configuration");
        let client = kube::Client::try_from(config).expect("a client");
        let pods: kube::Api<Pod> = kube::Api::all(client);
        let mut store: HashMap<(Option<String>, String), Arc<Pod>> = HashMap::new();
        let mut page = ListParams::default().limit(500);
        loop {
            let list = pods.list(&page).await.expect("a page");
            store.extend(list.items.into_iter().map(|pod| ((pod.namespace(), pod.name_any()), Arc::new(pod))));
            match list.metadata.continue_ {
                Some(token) if !token.is_empty() => page = page.continue_token(&token),
                _ => break,
            }
        }
        let (memory, _) = pty::usage(std::process::id());
        println!("{} {memory} {}", started.elapsed().as_micros(), store.len());
    });
}
