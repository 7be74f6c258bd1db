//! What becomes of a change of a group's size after it was accepted: on its way until its nodes are ready, or until
//! something stops it. A function of what was sent, the group's facts and the time.

use crate::{
    kinds::nodegroup::{Funnel, Row},
    store::wishes::Flight,
    util::age,
};

/// How long AWS may take to show the new size, seconds: EKS carries it to the Auto Scaling group and mirrors it later.
const MIRROR: i64 = 180;
/// How long nodes may take to come or go, seconds; whoever takes longer is no longer followed.
const PATIENCE: i64 = 30 * 60;

/// How a change stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// AWS has not carried the wish to the group yet: nothing else is sent meanwhile.
    Sending(String),
    /// The group wants what was asked for; its nodes are on their way.
    Moving(String),
    /// As many nodes are ready as were asked for.
    Arrived(String),
    /// It will not come about as it was asked for, or nobody can tell.
    Stopped(String),
}

/// How a change stands now.
pub fn progress(flight: &Flight, row: &Row, funnel: Funnel, now: i64) -> Progress {
    let Some(size) = flight.to.desired else { return Progress::Stopped("no size was asked for".to_owned()) };
    let waited = now - flight.since;
    let since = || age::human(waited);
    if !flight.accepted {
        return Progress::Sending(format!("asking for {size}"));
    }
    // What AWS said before it was asked says nothing of it; a pool's object comes by itself.
    if row.at != 0 && row.at <= flight.since {
        return Progress::Sending(format!("accepted: {size}"));
    }
    if let Some((_, failure)) = row.failure.as_ref().filter(|(at, _)| *at >= flight.since) {
        return Progress::Stopped(failure.clone());
    }
    if row.status == "UPDATING" {
        return Progress::Sending(format!("EKS is taking it over: {size}"));
    }
    match row.wanted() {
        Some(wanted) if wanted == size => {}
        Some(wanted) if flight.taken => {
            return Progress::Stopped(format!("somebody else has changed it to {wanted} since"));
        }
        _ if waited < MIRROR => return Progress::Sending(format!("accepted: {size}; not shown yet")),
        _ => return Progress::Stopped(format!("it was accepted {} ago, and the group does not show it", since())),
    }
    let wanted = Some(size);
    let (instances, registered, ready) = (funnel.instances.count(), funnel.registered.count(), funnel.ready.count());
    let settled = |count: Option<u32>| count.is_none() || count == wanted;
    if ready == wanted && settled(instances) && settled(registered) {
        let nodes = if size == 1 { "node is" } else { "nodes are" };
        return Progress::Arrived(format!("{size} {nodes} ready, {} after it was asked for", since()));
    }
    let here = ready.map_or_else(|| "?".to_owned(), |ready| ready.to_string());
    if waited >= PATIENCE {
        return Progress::Stopped(format!("{here} of {size} nodes are ready after {}: no longer followed", since()));
    }
    Progress::Moving(format!("{here} of {size} ready"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kinds::nodegroup::{Asg, Make, Stage},
        store::{intern::Sym, wishes::Sizes},
    };

    const SENT: i64 = 1_000_000;

    fn flight() -> Flight {
        let sizes = |desired| Sizes { min: Some(1), max: Some(10), desired: Some(desired) };
        Flight { from: sizes(3), to: sizes(5), since: SENT, accepted: true, taken: true }
    }

    /// A managed group as AWS had it ten seconds after the change: EKS's copy and the Auto Scaling group's own wish.
    fn group(eks: u32, asg: u32) -> Row {
        Row {
            desired: Some(eks),
            asg: Some(Asg { desired: Some(asg), ..Asg::default() }),
            status: "ACTIVE".to_owned(),
            at: SENT + 10,
            ..Row::new(Sym::EMPTY, Make::Managed)
        }
    }

    fn funnel(instances: Stage, registered: u32, ready: u32) -> Funnel {
        let count = Stage::Count;
        Funnel { eks: count(5), asg: count(5), instances, registered: count(registered), ready: count(ready) }
    }

    fn of(flight: &Flight, row: &Row, instances: u32, nodes: u32, after: i64) -> Progress {
        progress(flight, row, funnel(Stage::Count(instances), nodes, nodes), SENT + after)
    }

    fn stopped(progress: &Progress) -> &str {
        match progress {
            Progress::Stopped(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn until_the_group_shows_the_size_it_is_being_sent() {
        let sending = |flight: &Flight, row: &Row, after| matches!(of(flight, row, 3, 3, after), Progress::Sending(_));
        assert!(sending(&Flight { accepted: false, ..flight() }, &group(5, 5), 1));
        let before = Row { at: SENT - 5, ..group(3, 3) };
        assert!(sending(&Flight { taken: false, ..flight() }, &before, 1), "asked before it was sent");
        assert!(sending(&flight(), &Row { status: "UPDATING".to_owned(), ..group(3, 3) }, 10));
        // The mirror lags behind.
        let late = Flight { taken: false, ..flight() };
        assert!(sending(&late, &group(5, 3), 30));
        assert!(stopped(&of(&late, &group(5, 3), 3, 3, MIRROR)).contains("does not show it"));
    }

    #[test]
    fn it_is_followed_until_the_nodes_are_ready() {
        assert_eq!(of(&flight(), &group(5, 5), 3, 3, 20), Progress::Moving("3 of 5 ready".to_owned()));
        assert_eq!(of(&flight(), &group(5, 5), 5, 4, 90), Progress::Moving("4 of 5 ready".to_owned()));
        // EKS's copy may lag: the Auto Scaling group is the truth.
        let arrived = Progress::Arrived("5 nodes are ready, 95s after it was asked for".to_owned());
        assert_eq!(of(&flight(), &group(3, 5), 5, 5, 95), arrived);
        // On the way down an instance that still ends is not over.
        assert!(matches!(of(&flight(), &group(5, 5), 6, 5, 95), Progress::Moving(_)));
        // Who may not see instances sees nodes.
        let unseen = progress(&flight(), &group(5, 5), funnel(Stage::Unknown, 5, 5), SENT + 95);
        assert!(matches!(unseen, Progress::Arrived(_)), "{unseen:?}");
    }

    #[test]
    fn what_stops_it_is_said() {
        let failed = |at| Row { failure: Some((at, "InsufficientInstanceCapacity".to_owned())), ..group(5, 5) };
        assert_eq!(stopped(&of(&flight(), &failed(SENT + 5), 3, 3, 20)), "InsufficientInstanceCapacity");
        assert!(matches!(of(&flight(), &failed(SENT - 5), 3, 3, 20), Progress::Moving(_)), "an older failure");
        assert_eq!(stopped(&of(&flight(), &group(3, 3), 3, 3, 20)), "somebody else has changed it to 3 since");
        let slow = of(&flight(), &group(5, 5), 5, 4, PATIENCE);
        assert_eq!(stopped(&slow), "4 of 5 nodes are ready after 30m: no longer followed");
    }
}
