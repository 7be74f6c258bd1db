//! Sessions against real TLS servers on loopback. Nothing here waits for time to pass except where a time-out itself
//! is what is tested.

mod connecting;
mod kubeconfig;
mod minting;
mod plugins;
mod signing_in;
mod states;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// A kubeconfig in a folder of its own, with one context made of the given cluster and user.
struct Home {
    folder: TempDir,
    options: ConnectOptions,
}

impl Home {
    fn new(cluster: &Value, user: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let config = json!({
            "clusters": [{ "name": "c", "cluster": cluster }],
            "users": [{ "name": "u", "user": user }],
            "contexts": [{ "name": "x", "context": { "cluster": "c", "user": "u" } }],
            "current-context": "x",
        });
        std::fs::write(&file, config.to_string()).unwrap();
        Self { folder, options: ConnectOptions { kubeconfig: Some(file), ..ConnectOptions::default() } }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn open(&self) -> Result<Session, Problem> {
        let contexts = Contexts::load_from(&self.options, Environment::default())?;
        Session::open_in(&contexts, &self.options, None)
    }

    fn session(&self) -> Session {
        self.open().unwrap()
    }
}

fn get(path: &str) -> Request<Bytes> {
    Request::get(path).body(Bytes::new()).unwrap()
}

async fn text(response: Response<Body>) -> String {
    let body = collect(response.into_body(), Duration::from_secs(10), 1 << 20).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}
