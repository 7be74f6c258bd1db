//! A second cluster of the demo's account, with an API server of its own: made when somebody first asks it for something,
//! so that a demo that never looks there pays for a listener and no more.

use std::net::{Ipv4Addr, SocketAddr};

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch as signal;

use super::Options;
use super::aws::cloud::{Keys, Neighbour};
use super::cluster::seed::Size;
use super::cluster::site::GROUPLESS;
use super::cluster::story::STORIES;
use super::cluster::{life, story};
use super::http::server::{Account, Server};
use super::http::tls::{self, Identity};
use super::owner::Owner;
use super::world::World;
use crate::problem::Problem;

/// Nodes that Karpenter made for it, and its pods.
const SIZE: (u32, u32) = (8, 100);

/// A cluster that listens, and is not there yet.
#[derive(Debug)]
pub struct Beside {
    listener: TcpListener,
    address: SocketAddr,
    pub owner: Owner,
    breaks: signal::Receiver<u64>,
}

impl Beside {
    /// Listens; the world is made by the first question.
    pub async fn listen(options: &Options, keys: &Keys) -> Result<Self, Problem> {
        let cannot =
            |error: std::io::Error| Problem::new("the demo's second cluster cannot listen on 127.0.0.1").because(error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let (breaker, breaks) = signal::channel(0);
        let token = tls::token()?;
        let (options, keys) = (options.clone(), keys.clone());
        let owner = Owner::on_demand(move || make(&options, keys, token, breaker));
        Ok(Self { listener, address, owner, breaks })
    }

    /// What the account says of it.
    pub fn neighbour(&self, authority: &str) -> Neighbour {
        Neighbour { endpoint: format!("https://{}", self.address), authority: authority.to_owned() }
    }

    /// Answers, until `drops` is gone.
    pub fn serve(self, identity: &Identity, account: Account, drops: signal::Receiver<u64>) {
        let server = Server::new(self.owner, account, identity, self.address, [drops, self.breaks]);
        tokio::spawn(server.run(self.listener));
    }
}

fn make(options: &Options, keys: Keys, token: String, breaker: signal::Sender<u64>) -> World {
    let now = options.start.unwrap_or_else(|| Timestamp::now().as_second());
    // Not the same names and numbers again.
    let seed = options.seed.wrapping_add(1);
    let mut world = World::new(Size { nodes: SIZE.0, pods: SIZE.1, seed, now, site: &GROUPLESS });
    (world.token, world.cloud.keys, world.drops) = (token, keys, breaker);
    world.speed = options.speed;
    world.furnish();
    if options.live {
        life::begin(&mut world, None);
        story::prepare(&mut world, &STORIES[0]);
    }
    world
}
