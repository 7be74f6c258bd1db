//! What EC2 sells in the demo world: types with their list prices, in dollars an hour in eu-west-1 as of autumn 2025, and
//! what spot costs of that. Other regions cost the same here.

/// A type of instance.
#[derive(Debug)]
pub struct Offer {
    pub name: &'static str,
    pub vcpus: u32,
    pub memory_mib: u32,
    pub arm: bool,
    pub gpus: u32,
    /// Interfaces, and addresses on each.
    pub network: (u32, u32),
    /// Hundredths of a cent an hour.
    pub price: u32,
}

const fn offer(name: &'static str, vcpus: u32, gib: u32, arm: bool, network: (u32, u32), price: u32) -> Offer {
    Offer { name, vcpus, memory_mib: gib * 1024, arm, gpus: 0, network, price }
}

pub static OFFERS: [Offer; 13] = [
    offer("m6i.large", 2, 8, false, (3, 10), 1_070),
    offer("m6i.xlarge", 4, 16, false, (4, 15), 2_140),
    offer("m6i.2xlarge", 8, 32, false, (4, 15), 4_280),
    offer("m5.large", 2, 8, false, (3, 10), 1_070),
    offer("m5.xlarge", 4, 16, false, (4, 15), 2_140),
    offer("m5.2xlarge", 8, 32, false, (4, 15), 4_280),
    offer("m5a.2xlarge", 8, 32, false, (4, 15), 3_840),
    offer("m7g.xlarge", 4, 16, true, (4, 15), 1_821),
    offer("c6i.2xlarge", 8, 16, false, (4, 15), 3_648),
    offer("c7g.2xlarge", 8, 16, true, (4, 15), 3_101),
    offer("r6i.2xlarge", 8, 64, false, (4, 15), 5_640),
    offer("r5.2xlarge", 8, 64, false, (4, 15), 5_640),
    Offer { name: "g5.2xlarge", vcpus: 8, memory_mib: 32_768, arm: false, gpus: 1, network: (4, 15), price: 13_530 },
];

impl Offer {
    pub fn find(name: &str) -> Option<&'static Self> {
        OFFERS.iter().find(|offer| offer.name == name)
    }

    /// As price lists write it.
    pub fn dollars(&self) -> String {
        dollars(self.price)
    }

    /// The price of spot in a zone: a third of the list price, more or less.
    pub fn spot(&self, zone: usize) -> String {
        let percent = 31 + (u32::try_from(zone).unwrap_or(0) * 7 + self.vcpus + self.memory_mib / 4096) % 17;
        dollars(self.price * percent / 100)
    }
}

fn dollars(price: u32) -> String {
    format!("{}.{:04}000000", price / 10_000, price % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::node::Make;

    #[test]
    fn prices_are_written_as_in_the_lists() {
        let offer = Offer::find("m6i.xlarge").unwrap();
        assert_eq!(offer.dollars(), "0.2140000000");
        for zone in 0..3 {
            let spot: f64 = offer.spot(zone).parse().unwrap();
            assert!((0.05..0.12).contains(&spot), "{spot}");
        }
        for group in crate::cluster::node::GROUPS.iter().filter(|group| group.make != Make::Fargate) {
            assert!(Offer::find(group.instance.name).is_some(), "{} has no price", group.instance.name);
        }
    }
}
