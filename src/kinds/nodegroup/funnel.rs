//! How far a group has come from the wish to nodes that take pods, in five numbers; the first gap says what is missing.

use std::fmt;

use crate::store::value::Health;

/// One number of the funnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A group of this make has no such stage.
    None,
    /// Nobody could tell.
    Unknown,
    Count(u32),
}

impl Stage {
    pub fn of(count: usize) -> Self {
        Stage::Count(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// The number, where there is one.
    pub fn count(self) -> Option<u32> {
        match self {
            Stage::Count(count) => Some(count),
            Stage::None | Stage::Unknown => None,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stage::None => f.write_str("–"),
            Stage::Unknown => f.write_str("?"),
            Stage::Count(count) => count.fmt(f),
        }
    }
}

/// Wish of EKS, wish of the Auto Scaling group, instances, registered nodes, ready nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Funnel {
    pub eks: Stage,
    pub asg: Stage,
    pub instances: Stage,
    pub registered: Stage,
    pub ready: Stage,
}

impl fmt::Display for Funnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { eks, asg, instances, registered, ready } = self;
        write!(f, "{eks}·{asg}·{instances}·{registered}·{ready}")
    }
}

impl Funnel {
    /// The first stage that differs from the one before it, in words; nothing where all that is known agrees.
    pub fn gap(&self) -> Option<(Health, String)> {
        let Counts { eks, asg, instances, registered, ready } = self.counts();
        if let (Some(eks), Some(asg)) = (eks, asg)
            && eks != asg
        {
            return Some((Health::Progressing, format!("EKS {eks}, Auto Scaling {asg}")));
        }
        let wanted = asg.or(eks);
        if let (Some(wanted), Some(instances)) = (wanted, instances) {
            if instances < wanted {
                return Some((Health::Progressing, format!("launching {}", wanted - instances)));
            }
            if instances > wanted {
                return Some((Health::Progressing, format!("ending {}", instances - wanted)));
            }
        }
        if let (Some(before), Some(registered)) = (instances.or(wanted), registered) {
            if registered < before {
                // Who has not joined may not have been launched.
                let word = if instances.is_some() { "joining" } else { "not registered" };
                return Some((Health::Progressing, format!("{word} {}", before - registered)));
            }
            if registered > before {
                return Some((Health::Progressing, format!("leaving {}", registered - before)));
            }
        }
        match (registered, ready) {
            (Some(registered), Some(ready)) if ready < registered => {
                Some((Health::Warn, format!("not ready {}", registered - ready)))
            }
            _ => None,
        }
    }

    fn counts(self) -> Counts {
        Counts {
            eks: self.eks.count(),
            asg: self.asg.count(),
            instances: self.instances.count(),
            registered: self.registered.count(),
            ready: self.ready.count(),
        }
    }
}

struct Counts {
    eks: Option<u32>,
    asg: Option<u32>,
    instances: Option<u32>,
    registered: Option<u32>,
    ready: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn funnel(text: &str) -> Funnel {
        let stages: Vec<Stage> = text
            .split('·')
            .map(|stage| match stage {
                "–" => Stage::None,
                "?" => Stage::Unknown,
                count => Stage::Count(count.parse().unwrap()),
            })
            .collect();
        let &[eks, asg, instances, registered, ready] = &stages[..] else { panic!("{text}") };
        Funnel { eks, asg, instances, registered, ready }
    }

    #[test]
    fn the_first_gap_is_named_and_what_is_unknown_is_none() {
        for (text, gap) in [
            ("4·4·4·4·4", None),
            ("0·0·0·0·0", None),
            ("5·3·3·3·3", Some("EKS 5, Auto Scaling 3")),
            ("5·5·3·3·3", Some("launching 2")),
            ("3·3·5·5·5", Some("ending 2")),
            ("5·5·5·3·2", Some("joining 2")),
            ("5·5·5·6·6", Some("leaving 1")),
            ("5·5·5·5·4", Some("not ready 1")),
            ("3·?·?·?·?", None),
            ("3·?·?·1·1", Some("not registered 2")),
            ("–·2·2·2·2", None),
            ("–·–·7·7·6", Some("not ready 1")),
            ("–·–·–·?·?", None),
        ] {
            let funnel = funnel(text);
            assert_eq!(funnel.to_string(), text);
            assert_eq!(funnel.gap().map(|(_, gap)| gap).as_deref(), gap, "{text}");
        }
    }
}
