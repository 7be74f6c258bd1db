//! The task that owns the world: everyone else asks it, so that nothing is ever locked.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::world::{Unborn, World};
use crate::cluster::{churn, life};

/// How often the story goes on.
const STEP: Duration = Duration::from_millis(20);

/// A world that is made in the background begins to live after this: the first screen comes first.
const FIRST: Duration = Duration::from_millis(400);

/// A living world takes no more than this of each step: at high speeds it goes as fast as that lets it.
const MOST: Duration = Duration::from_millis(8);

/// So many workloads get a new status in each step: real controllers take their time, too.
const SETTLED: usize = 2;

type Question = Box<dyn FnOnce(&mut World) + Send>;

/// Asks the owner of the world.
#[derive(Clone)]
pub struct Owner(mpsc::UnboundedSender<Question>);

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Owner")
    }
}

impl Owner {
    /// Has the world made aside and hands it to its task; questions wait until it is there. The task ends with the last
    /// `Owner`.
    pub fn spawn(make: impl FnOnce() -> World + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            if let Ok(world) = tokio::task::spawn_blocking(make).await {
                own(world, receiver).await;
            }
        });
        Self(sender)
    }

    /// The same, but the world is made when there is a first question.
    pub fn on_demand(make: impl FnOnce() -> World + Send + 'static) -> Self {
        let (sender, mut receiver) = mpsc::unbounded_channel::<Question>();
        tokio::spawn(async move {
            let Some(question) = receiver.recv().await else { return };
            if let Ok(mut world) = tokio::task::spawn_blocking(make).await {
                question(&mut world);
                own(world, receiver).await;
            }
        });
        Self(sender)
    }

    /// Has `question` answered, after all that was asked before; `None` when the world is gone.
    pub async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut World) -> T + Send + 'static) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.tell(move |world| {
            let _ = answer.send(question(world));
        });
        answered.await.ok()
    }

    /// Changes the world before anything that is asked later.
    pub fn tell(&self, change: impl FnOnce(&mut World) + Send + 'static) {
        let _ = self.0.send(Box::new(change));
    }
}

async fn own(mut world: World, mut questions: mpsc::UnboundedReceiver<Question>) {
    let mut step = tokio::time::interval(STEP);
    step.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let began = Instant::now();
    let mut last = began;
    let mut owed = 0.0_f64;
    loop {
        let busy = world.churn > 0.0 || world.life.on || world.unborn.is_some();
        tokio::select! {
            question = questions.recv() => match question {
                Some(question) => question(&mut world),
                None => return,
            },
            _ = step.tick(), if busy => {
                // After a pause the story goes on from here: it does not catch up.
                let elapsed = last.elapsed().min(Duration::from_millis(500));
                last = Instant::now();
                owed += elapsed.as_secs_f64() * world.churn;
                if began.elapsed() > FIRST
                    && let Some(Unborn(story)) = world.unborn.take()
                {
                    life::begin(&mut world, story);
                }
                if world.life.on {
                    live(&mut world, elapsed);
                }
                let now = jiff::Timestamp::now().as_second();
                while owed >= 1.0 {
                    churn::step(&mut world, now);
                    owed -= 1.0;
                }
                world.settle(SETTLED);
            }
        }
        world.tell();
    }
}

/// The world's time goes on.
#[allow(clippy::cast_possible_truncation)] // Half a second at any speed that makes sense.
fn live(world: &mut World, elapsed: Duration) {
    let passed = (elapsed.as_secs_f64() * 1000.0 * world.speed) as i64;
    if passed > 0 {
        let end = world.life.clock.now() + passed;
        let ahead = world.faults.clock_ahead_s.saturating_mul(1000);
        world.life.clock.meet(jiff::Timestamp::now().as_millisecond().saturating_add(ahead), world.speed);
        let started = Instant::now();
        while !life::advance(world, end, 4) && started.elapsed() < MOST {}
    }
}
