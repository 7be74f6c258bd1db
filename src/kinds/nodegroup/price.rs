//! What instances cost an hour. A sum with one unknown price in it is unknown.

use std::collections::BTreeMap;

use crate::store::value::{Basis, Value};

/// Prices by instance type, as far as they could be had.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prices {
    pub types: BTreeMap<String, TypePrice>,
    /// Why prices of the list and of spot are missing, where that is known.
    pub list_doubt: Option<String>,
    pub spot_doubt: Option<String>,
}

/// An hour of one type.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TypePrice {
    /// On demand, and when the list was asked (Unix seconds).
    pub list: Option<(f64, i64)>,
    /// Spot by zone, and when it was asked.
    pub spot: BTreeMap<String, f64>,
    pub spot_at: i64,
}

/// What something costs an hour.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Hourly {
    pub dollars: f64,
    /// Whether spot prices are in it.
    pub spot: bool,
}

impl Hourly {
    pub fn value(self) -> Value<'static> {
        Value::Price(self.dollars, if self.spot { Basis::Spot } else { Basis::List })
    }

    pub fn add(&mut self, other: Hourly) {
        self.dollars += other.dollars;
        self.spot |= other.spot;
    }
}

impl Prices {
    /// Why prices are missing, where that is known.
    pub fn doubt(&self, spot: bool) -> Option<&str> {
        if spot { self.spot_doubt.as_deref() } else { self.list_doubt.as_deref() }
    }

    /// An hour of one instance.
    pub fn of(&self, instance_type: &str, zone: &str, spot: bool) -> Option<Hourly> {
        let price = self.types.get(instance_type)?;
        let dollars = if spot { price.spot.get(zone).copied() } else { price.list.map(|(dollars, _)| dollars) };
        dollars.map(|dollars| Hourly { dollars, spot })
    }

    /// An hour of all these instances, by type and zone.
    pub fn sum(&self, instances: impl Iterator<Item = (String, String)>, spot: bool) -> Option<Hourly> {
        let mut sum = Hourly { dollars: 0.0, spot };
        for (instance_type, zone) in instances {
            sum.add(self.of(&instance_type, &zone, spot)?);
        }
        Some(sum)
    }

    /// The cheapest and the dearest hour among some types, wherever in the region: what one more instance will cost.
    pub fn range(&self, types: &[String], spot: bool) -> Option<(f64, f64)> {
        let mut range: Option<(f64, f64)> = None;
        for instance_type in types {
            let price = self.types.get(instance_type)?;
            let dollars: Vec<f64> =
                if spot { price.spot.values().copied().collect() } else { vec![price.list.map(|(dollars, _)| dollars)?] };
            if dollars.is_empty() {
                return None;
            }
            for dollars in dollars {
                range = Some(range.map_or((dollars, dollars), |(low, high)| (low.min(dollars), high.max(dollars))));
            }
        }
        range
    }

    /// When the oldest of these prices was asked, Unix seconds.
    pub fn asked(&self, types: &[String], spot: bool) -> Option<i64> {
        let at = |name: &String| {
            let price = self.types.get(name)?;
            if spot { Some(price.spot_at) } else { price.list.map(|(_, at)| at) }
        };
        types.iter().filter_map(at).min()
    }
}
