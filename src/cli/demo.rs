//! `ekscope demo`: a simulated cluster, explored through an ordinary kubeconfig.

use super::{
    arguments::{Common, Demo},
    environment, open, runtime, say, settings,
    stage::Temporary,
};
use crate::{
    app::terminal::Signals,
    config::{dirs::Dirs, keymap::KeyMap},
    problem::Problem,
    sim,
    sources::aws::Environment,
    view::guide::Guide,
};

/// What a demo brings along.
pub(super) struct Newcomer {
    /// Read once and then gone, so that nothing is left behind whatever ends the program.
    pub(super) kubeconfig: Temporary,
    pub(super) guide: Option<Guide>,
}

/// Starts the simulated cluster and, unless it is only to be served, explores it through an ordinary kubeconfig.
pub(super) fn demo(demo: &Demo, common: &Common) -> Result<u8, Problem> {
    if demo.list {
        for story in &sim::STORIES {
            say(&format!("{:22} {}", story.name, story.about));
        }
        return Ok(0);
    }
    let story = match &demo.story {
        Some(name) => sim::Story::find(name).ok_or_else(|| no_story(name))?,
        None => &sim::STORIES[0],
    };
    let size = story.size.unwrap_or((60, 1_200));
    let (nodes, pods) = (demo.nodes.unwrap_or(size.0), demo.pods.unwrap_or(size.1));
    let world = sim::spawn(sim::Options {
        nodes,
        pods,
        churn: demo.churn.unwrap_or(0.0),
        live: demo.churn.is_none(),
        speed: common.speed.unwrap_or(1.0),
        story: Some(story),
        seed: demo.seed,
        listen: demo.listen,
        preencode: demo.preencode,
        background: !demo.serve,
        second: true,
        ..sim::Options::default()
    })?;
    let dirs = Dirs::find(environment)?;
    let file = Temporary::kubeconfig("demo", &dirs, &world.eks_kubeconfig())?;
    let guide = Guide {
        name: story.name.to_owned(),
        about: story.about.to_owned(),
        tries: story.tries.iter().map(|&line| line.to_owned()).collect(),
    };
    if demo.serve {
        say(&format!("serving {nodes} nodes and {pods} pods at {}", world.url));
        say(&format!("export KUBECONFIG={}", file.0.display()));
        for (name, value) in world.environment() {
            say(&if value.is_empty() { format!("unset {name}") } else { format!("export {name}={value}") });
        }
        if demo.story.is_some() {
            tell_story(&guide, &settings(&dirs, &common.overrides()).keys);
        }
        runtime()?.block_on(async {
            let mut signals = Signals::listen()?;
            signals.next().await;
            Ok::<(), Problem>(())
        })?;
        return Ok(0);
    }
    if demo.story.is_some() {
        tell_story(&guide, &settings(&dirs, &common.overrides()).keys);
    }
    let aws = Some(Environment::of_process().with(world.environment()));
    let common = Common { kubeconfig: Some(file.0.clone()), aws, ..common.clone() };
    open(&demo.first, &common, Some(Newcomer { kubeconfig: file, guide: demo.churn.is_none().then_some(guide) }))
}

fn no_story(name: &str) -> Problem {
    let known = sim::STORIES.iter().map(|story| story.name);
    let hint = match crate::util::suggest::nearest(name, known) {
        Some(near) => format!("did you mean {near}? `ekscope demo --list` lists them all"),
        None => "`ekscope demo --list` lists them".to_owned(),
    };
    Problem::new(format!("there is no story called {name}")).hint(hint)
}

/// Says what a story has to try.
fn tell_story(guide: &Guide, keys: &KeyMap) {
    for line in guide.lines(keys) {
        say(&line);
    }
}
