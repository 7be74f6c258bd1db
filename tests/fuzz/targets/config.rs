//! The user's files: settings, keys and a theme, with a line of `%%` between them.

#![no_main]

use std::{
    io,
    path::{Path, PathBuf},
};

use ekscope::{
    command,
    config::{
        self, Wishes,
        dirs::{Dirs, Files},
        settings::Overrides,
    },
    ui::theme::{ColorDepth, Role},
};
use libfuzzer_sys::fuzz_target;

/// The texts by their paths.
struct Memory<'a>([(&'static str, &'a str); 3]);

impl Files for Memory<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        let found = self.0.iter().find(|(name, _)| Path::new(name) == path);
        found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(vec![self.0[2].0.into()])
    }
}

fuzz_target!(|text: &str| {
    let mut parts = text.split("\n%%\n");
    let files = Memory(
        ["/c/config.toml", "/c/keys.toml", "/c/themes/mine.toml"].map(|name| (name, parts.next().unwrap_or_default())),
    );
    let dirs = Dirs { config: "/c".into(), state: "/s".into(), cache: "/k".into() };
    let (commands, overrides) = (command::key_table(), Overrides::default());
    let wishes = Wishes {
        dirs: &dirs,
        files: &files,
        env: &|_| None,
        overrides: &overrides,
        commands: &commands,
        kinds: &["pods", "nodes"],
    };
    let settings = config::load(&wishes);
    for problem in &settings.problems {
        let problem = problem.to_string();
        let place =
            files.0.iter().find_map(|(name, text)| Some((problem.strip_prefix(name)?.strip_prefix(':')?, text)));
        let (rest, text) = place.unwrap_or_else(|| panic!("{problem:?} has no place"));
        let mut numbers = rest.split(':').map(|number| number.parse::<usize>().expect("a number"));
        let (line, column) = (numbers.next().expect("a line"), numbers.next().expect("a column"));
        let line =
            text.split('\n').nth(line.wrapping_sub(1)).unwrap_or_else(|| panic!("{problem:?} is behind the end"));
        assert!((1..=line.chars().count() + 1).contains(&column), "{problem:?} is not in {line:?}");
    }
    // Whatever was wrong, there is a look, and limits that make sense.
    for depth in [ColorDepth::None, ColorDepth::Ansi16, ColorDepth::Indexed256, ColorDepth::True] {
        for name in settings.themes.names() {
            let theme = settings.themes.get(name, depth).expect("a theme that is there");
            for role in Role::ALL {
                theme.style(*role);
            }
        }
        settings.themes.get(&settings.config.ui.theme, depth).expect("the theme that is set");
    }
    assert!(settings.config.thresholds.cpu.warn <= settings.config.thresholds.cpu.bad);
    assert!(settings.config.thresholds.memory.warn <= settings.config.thresholds.memory.bad);
});
