//! `ekscope config`: where the files of the user lie, what is wrong with them, and what there is to choose from.

use super::{arguments::Common, environment, settings, write_out};
use crate::{app::shown, command, config::dirs::Dirs, problem::Problem, store::world::World};

pub(super) fn check(common: &Common) -> Result<u8, Problem> {
    let dirs = Dirs::find(environment)?;
    let settings = settings(&dirs, &common.overrides());
    let world = World::default();
    let mut lines = vec![
        format!("settings  {}", dirs.config.join("config.toml").display()),
        format!("keys      {}", dirs.config.join("keys.toml").display()),
        format!("themes    {}", dirs.config.join("themes").join("NAME.toml").display()),
        format!("state     {}", dirs.state.display()),
        format!("cache     {}", dirs.cache.display()),
    ];
    let mut section = |title: &str, entries: Vec<String>| {
        if !entries.is_empty() {
            lines.extend([String::new(), title.to_owned()]);
            lines.extend(entries.into_iter().map(|entry| format!("  {entry}")));
        }
    };
    section("problems", settings.problems.iter().map(ToString::to_string).collect());
    let strangers = shown::strangers(&settings.config, &settings.keys, &world);
    section(
        "kinds that only a server can know",
        strangers.iter().map(|it| format!("{}: {}", it.place, it.value)).collect(),
    );
    let chosen = |name: &str| if name == settings.config.ui.theme { " (chosen)" } else { "" };
    section("themes", settings.themes.names().map(|name| format!("{name}{}", chosen(name))).collect());
    let command = |command: &command::Command| {
        let keys = settings.keys.keys_of(&[command.scope.name()], command.id);
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let scope = command.scope.name();
        format!("{:<22} {scope:<12} {:<18} {}", command.id, keys.join(" "), command.help)
    };
    section(
        "commands, with the view in which they work and their keys there",
        command::commands().map(command).collect(),
    );
    write_out(&(lines.join("\n") + "\n"));
    Ok(if settings.problems.is_empty() { 0 } else { 2 })
}
