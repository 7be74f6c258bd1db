use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use proptest::prelude::*;

use super::{
    dirs::{Dirs, Disk, Files},
    keymap::{CommandKeys, GLOBAL, KeySettings},
    settings::{Config, KindSettings, LogLevel, Overrides, Sort, Threshold},
    *,
};
use crate::util::document::Placed;

/// A folder of its own for a test, gone with it.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("ekscope-test-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const COMMANDS: &[CommandKeys<'_>] =
    &[("help", GLOBAL, &["?"]), ("logs", "pods", &["l"]), ("table.sort-column", "table", &["O"])];

/// Files that exist in a test only. A text of `\0` cannot be read.
struct Written(BTreeMap<PathBuf, String>);

impl Files for Written {
    fn read(&self, path: &Path) -> io::Result<String> {
        match self.0.get(path).map(String::as_str) {
            Some("\0") => Err(io::ErrorKind::PermissionDenied.into()),
            Some(text) => Ok(text.to_owned()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.0.keys().filter(|path| path.parent() == Some(folder)).cloned().collect())
    }
}

fn load_all(files: &[(&str, &str)], env: &[(&str, &str)], overrides: &Overrides) -> (Settings, Vec<String>) {
    let dirs = Dirs { config: "/cfg".into(), state: "/state".into(), cache: "/cache".into() };
    let files = Written(files.iter().map(|(name, text)| (dirs.config.join(name), (*text).to_owned())).collect());
    let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let settings =
        load(&Wishes { dirs: &dirs, files: &files, env: &env, overrides, commands: COMMANDS, kinds: &["nodes"] });
    let problems = settings.problems.iter().map(ToString::to_string).collect();
    (settings, problems)
}

fn load_file(text: &str) -> (Config, Vec<String>) {
    let (settings, problems) = load_all(&[("config.toml", text)], &[], &Overrides::default());
    (settings.config, problems)
}

/// The documentation with every setting in force: `#key` is a setting, `# text` is prose.
fn uncommented() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting.to_owned(),
        _ => line.to_owned(),
    };
    DEFAULTS.lines().map(|text| line(text) + "\n").collect()
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    for text in ["", DEFAULTS, &uncommented()] {
        let (config, problems) = load_file(text);
        assert_eq!(problems, [""; 0]);
        assert_eq!(config, Config::default());
    }
}

#[test]
fn every_setting_is_documented_and_every_documented_setting_exists() {
    let (text, mut problems) = (uncommented(), Vec::new());
    let document = Document::parse(Path::new("defaults.toml"), &text, &mut problems);
    let seen = RefCell::new(Vec::new());
    let env = |name: &str| {
        seen.borrow_mut().push(name.to_owned());
        None
    };
    let mut reader = Reader::new(&document, &env, &mut problems);
    Config::default().read(&mut reader, &mut KeySettings::default());
    let mut documented = Vec::new();
    for section in document.root().entries() {
        for entry in section.table().unwrap().entries() {
            documented.push(format!("EKSCOPE_{}_{}", section.key(), entry.key()).to_uppercase());
        }
    }
    // The preset is read with the keys, which have no variables.
    documented.retain(|name| name != "EKSCOPE_KEYS_PRESET");
    let mut seen = seen.into_inner();
    documented.sort();
    seen.sort();
    assert_eq!(documented, seen);
    assert_eq!(problems, []);
}

#[test]
fn the_examples_in_the_documentation_are_right() {
    let mut examples = String::new();
    for line in DEFAULTS.lines() {
        if let Some(example) = line.strip_prefix("#   ") {
            examples.push_str(example);
            examples.push('\n');
        }
    }
    let (config, problems) = load_file(&examples);
    // This test does not have the commands; `command` checks them.
    let other: Vec<_> = problems.iter().filter(|text| !text.contains("there is no command")).collect();
    assert_eq!(other, [""; 0]);
    let sort = |kind: &str| config.kinds[kind].sort.as_ref().map(|sort| sort.value.clone());
    assert_eq!(sort("pods"), Some(Sort { column: "age".to_owned(), descending: true }));
    assert_eq!(sort("nodepools.karpenter.sh"), Some(Sort { column: "name".to_owned(), descending: false }));
}

#[test]
fn every_setting_can_be_set() {
    let (config, problems) = load_file(
        r#"
[start]
view = "nodes"
namespace = "kube-system,default"
remember = false
[ui]
theme = "paper"
mouse = false
ascii = true
frame_rate = 0x3c
glow = "500ms"
[safety]
read_only = true
protected = ["*prod*", "live-?"]
[connection]
connect_timeout = "3s"
request_timeout = "2m"
exec_timeout = "1h"
linger = "0s"
[thresholds]
cpu_warn = 95
cpu_bad = 150
memory_warn = 50
memory_bad = 50
[log]
level = "debug"
[keys]
preset = "k9s"
[kinds.pods]
columns = ["name", "age"]
"#,
    );
    assert_eq!(problems, [""; 0]);
    let mut expected = Config::default();
    expected.start.view = "nodes".to_owned();
    expected.start.namespace = "kube-system,default".to_owned();
    expected.start.remember = false;
    expected.ui.theme = "paper".to_owned();
    expected.ui.mouse = false;
    expected.ui.ascii = true;
    expected.ui.frame_rate = 60;
    expected.ui.glow = Duration::from_millis(500);
    expected.safety.read_only = true;
    expected.safety.protected = vec!["*prod*".to_owned(), "live-?".to_owned()];
    expected.connection.connect_timeout = Duration::from_secs(3);
    expected.connection.request_timeout = Duration::from_mins(2);
    expected.connection.exec_timeout = Duration::from_hours(1);
    expected.connection.linger = Duration::ZERO;
    expected.thresholds.cpu = Threshold { warn: 95, bad: 150 };
    expected.thresholds.memory = Threshold { warn: 50, bad: 50 };
    expected.log = LogLevel::Debug;
    let column = |place: &str, value: &str| Placed { place: place.to_owned(), value: value.to_owned() };
    let columns = vec![column("/cfg/config.toml:30:12", "name"), column("/cfg/config.toml:30:20", "age")];
    let place = "/cfg/config.toml:29:8".to_owned();
    expected.kinds.insert("pods".to_owned(), KindSettings { place, columns, sort: None });
    assert_eq!(config, expected);
}

#[test]
fn a_sorting_names_a_column_and_a_direction() {
    let sort = |text: &str| Sort::parse(text).map(|sort| (sort.column, sort.descending));
    assert_eq!(sort("age"), Some(("age".to_owned(), false)));
    assert_eq!(sort(" last seen  desc "), Some(("last seen".to_owned(), true)));
    assert_eq!(sort("nominated node"), Some(("nominated node".to_owned(), false)));
    assert_eq!(sort("desc asc"), Some(("desc".to_owned(), false)));
    assert_eq!(sort("  "), None);
}

#[test]
fn mistakes_are_placed_and_cost_only_themselves() {
    let (config, problems) = load_file(
        r#"theme = "paper"
kinds.pods = "wide"
[ui]
thme = "paper"
mouse = "no"
frame_rate = 500
glow = 2
ascii = true
[iu]
[start]
view = ["pods"]
remember = false
[connection]
connect_timeout = "10"
request_timeout = "2h"
linger = "5 m"
[thresholds]
cpu_warn = 95
memory_warn = -3
[log]
level = "verbose"
[kinds.nodes]
columns = ["name", 3]
sort = " "
sorting = "age"
[kinds.services]
sort = "type"
"#,
    );
    assert_eq!(
        problems,
        [
            "/cfg/config.toml:11:1: `view` must be a string: it is of the type array",
            "/cfg/config.toml:5:1: `mouse` must be true or false: it is \"no\"",
            "/cfg/config.toml:6:1: `frame_rate` must be a whole number from 1 to 120: it is 500",
            "/cfg/config.toml:7:1: `glow` must be a time from 0s to 1m: it is 2 (write it like \"500ms\", \"30s\", \"5m\")",
            "/cfg/config.toml:4:1: unknown key `thme` in [ui] (did you mean `theme`?)",
            "/cfg/config.toml:14:1: `connect_timeout` must be a time from 100ms to 5m: it is \"10\" (write it like \
             \"500ms\", \"30s\", \"5m\")",
            "/cfg/config.toml:15:1: `request_timeout` must be a time from 100ms to 1h: it is \"2h\" (write it like \
             \"500ms\", \"30s\", \"5m\")",
            "/cfg/config.toml:18:1: `cpu_warn` is above `cpu_bad`: 95 > 90 (the defaults are used)",
            "/cfg/config.toml:19:1: `memory_warn` must be a whole number from 1 to 1000: it is -3",
            "/cfg/config.toml:21:1: `level` must be one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\": it \
             is \"verbose\"",
            "/cfg/config.toml:2:7: `pods` must be a table: it is \"wide\"",
            "/cfg/config.toml:23:1: `columns` must be a list of strings: it is of the type array",
            "/cfg/config.toml:24:1: `sort` must be a column, then `asc` or `desc` if wanted: it is empty",
            "/cfg/config.toml:25:1: unknown key `sorting` in [kinds.nodes]",
            "/cfg/config.toml:1:1: unknown key `theme` (`theme` belongs under [ui])",
            "/cfg/config.toml:9:2: unknown key `iu` (did you mean `ui`?)",
        ]
    );
    assert!(config.ui.ascii && config.ui.mouse && !config.start.remember);
    assert_eq!(config.connection.linger, Duration::from_mins(5));
    assert_eq!(config.thresholds.cpu, Threshold::default());
    assert!(config.kinds["services"].sort.is_some());
}

#[test]
fn broken_toml_costs_its_line() {
    let (config, problems) = load_file(
        "[ui]\nmouse = false\ntheme = paper\nascii = true\n[log]\nlevel = \"warn\n[start]\nview = \"nodes\"\n",
    );
    assert_eq!(
        problems,
        [
            "/cfg/config.toml:3:9: not TOML: string values must be quoted, expected literal string",
            "/cfg/config.toml:6:14: not TOML: invalid basic string, expected `\"`",
        ]
    );
    let expected = {
        let mut config = Config::default();
        config.ui.mouse = false;
        config.ui.ascii = true;
        config.start.view = "nodes".to_owned();
        config
    };
    assert_eq!(config, expected);
}

#[test]
fn caution_that_cannot_be_understood_is_caution() {
    let (config, problems) = load_file("[safety]\nread_only = \"yes\"\nprotected = \"prod\"\n");
    assert_eq!(
        problems,
        [
            "/cfg/config.toml:2:1: `read_only` must be true or false: it is \"yes\" (the cautious value is used until this \
             is mended)",
            "/cfg/config.toml:3:1: `protected` must be a list of strings: it is \"prod\" (the cautious value is used until \
             this is mended)",
        ]
    );
    assert!(config.safety.read_only && config.safety.protects("anything"));

    for text in
        ["[safety]\nread_only = tru\n", "[safety\nread_only = true\n", "[ui]\ntheme = \"\n[safety]\nread_only = true"]
    {
        let (config, problems) = load_file(text);
        assert!(config.safety.read_only, "{text:?}: {problems:?}");
    }
    let (config, _) = load_file("[ui]\ntheme = paper\n#read_only = true\n");
    assert!(!config.safety.read_only, "a broken line elsewhere is not caution");

    let (settings, problems) = load_all(&[("config.toml", "\0")], &[], &Overrides::default());
    assert_eq!(problems, ["/cfg/config.toml: cannot be read: permission denied"]);
    assert!(settings.config.safety.read_only);
}

#[test]
fn the_environment_goes_over_the_file_and_the_command_line_over_both() {
    let file = "[ui]\ntheme = \"paper\"\nmouse = true\n[safety]\nread_only = true\n";
    let env = [
        ("EKSCOPE_UI_THEME", "neon"),
        ("EKSCOPE_UI_MOUSE", "off"),
        ("EKSCOPE_UI_FRAME_RATE", "60"),
        ("EKSCOPE_UI_ASCII", "maybe"),
        ("EKSCOPE_UI_GLOW", "1s"),
        ("EKSCOPE_SAFETY_PROTECTED", "*prod*, live"),
        ("EKSCOPE_LOG_LEVEL", "loud"),
    ];
    let (settings, problems) = load_all(&[("config.toml", file)], &env, &Overrides::default());
    assert_eq!(
        problems,
        [
            "EKSCOPE_UI_ASCII: `ascii` must be true or false: it is \"maybe\"",
            "EKSCOPE_LOG_LEVEL: `level` must be one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\": it is \
             \"loud\"",
        ]
    );
    let config = settings.config;
    assert_eq!((config.ui.theme.as_str(), config.ui.mouse, config.ui.frame_rate), ("neon", false, 60));
    assert_eq!(config.safety.protected, ["*prod*", "live"]);

    let overrides = Overrides {
        theme: Some("amber".to_owned()),
        read_only: Some(false),
        request_timeout: Some(Duration::from_secs(5)),
        profile: Some("prod".to_owned()),
        region: Some("eu-west-1".to_owned()),
    };
    let (settings, _) = load_all(&[("config.toml", file)], &env, &overrides);
    let config = settings.config;
    assert_eq!((config.ui.theme.as_str(), config.safety.read_only), ("amber", false));
    assert_eq!(config.connection.request_timeout, Duration::from_secs(5));
    assert_eq!(
        (&config.fleet.profiles[..], &config.fleet.regions[..]),
        (&["prod".into()][..], &["eu-west-1".into()][..])
    );
}

#[test]
fn an_unknown_theme_is_told_where_it_was_asked_for() {
    let theme = |text: &str, env: &[(&str, &str)], flag: Option<&str>| {
        let overrides = Overrides { theme: flag.map(str::to_owned), ..Overrides::default() };
        let (settings, problems) = load_all(&[("config.toml", text)], env, &overrides);
        assert_eq!(settings.config.ui.theme, "slate");
        problems
    };
    let file = "\n[ui]\ntheme = \"slat\"\n";
    let hint = "there is no theme `slat` (did you mean `slate`?)";
    assert_eq!(theme(file, &[], None), [format!("/cfg/config.toml:3:1: {hint}")]);
    assert_eq!(theme("", &[("EKSCOPE_UI_THEME", "slat")], None), [format!("EKSCOPE_UI_THEME: {hint}")]);
    assert_eq!(theme("", &[], Some("slat")), [format!("--theme: {hint}")]);
}

#[test]
fn keys_and_themes_come_from_their_files() {
    let (settings, problems) = load_all(
        &[
            ("config.toml", "[ui]\ntheme = \"mine\"\n[keys.pods]\n\"x\" = \"logs\"\n\"z\" = \"help\"\n"),
            ("keys.toml", "[pods]\n\"x\" = \"help\"\n\"y\" = \"hlp\"\n"),
            ("themes/mine.toml", "[roles]\ntext = \"rde\"\n"),
            ("themes/notes.txt", "not a theme"),
            ("themes/locked.toml", "\0"),
        ],
        &[],
        &Overrides::default(),
    );
    assert_eq!(
        problems,
        [
            "/cfg/keys.toml:3:1: there is no command `hlp` for the key y (did you mean `help`?)",
            "/cfg/themes/locked.toml: cannot be read: permission denied",
            "/cfg/themes/mine.toml:2:1: no colour is called `rde` (did you mean `red`?)",
        ]
    );
    assert_eq!(settings.config.ui.theme, "mine");
    assert!(!settings.themes.names().any(|name| name == "notes" || name == "locked"));
    let command = |key: &str| settings.keys.command_of(&["pods"], key.parse().unwrap());
    assert_eq!((command("x"), command("z"), command("l")), (Some("help"), Some("help"), Some("logs")));
}

#[test]
fn caution_that_cannot_be_read_has_a_place() {
    let (config, problems) = load_file("[ui]\nmouse = true\n[safety]\nread_only true\n");
    assert!(config.safety.read_only, "it may have been wished for");
    let told = "/cfg/config.toml:4:1: `read_only` cannot be told";
    assert!(problems.iter().any(|problem| problem.starts_with(told)), "{problems:?}");
}

#[test]
fn protected_patterns_match_whole_names_in_any_case() {
    let protects = |pattern: &str, name: &str| {
        let mut config = Config::default();
        config.safety.protected = vec![pattern.to_owned()];
        config.safety.protects(name)
    };
    let arn = "arn:aws:eks:eu-west-1:123456789012:cluster/Prod-A";
    assert!(protects("*prod*", arn) && protects("*/PROD-?", arn) && protects("*", "") && protects("a**c", "abc"));
    assert!(!protects("prod", arn) && !protects("*prod", arn) && !protects("*prod-??", arn) && !protects("", "x"));
    assert!(protects("*a*ab", "aaaab") && !protects("?", ""));
}

#[test]
fn folders_can_be_chosen() {
    let env = |name: &str| match name {
        "EKSCOPE_CONFIG_DIR" => Some("/a".to_owned()),
        "EKSCOPE_STATE_DIR" => Some("/b".to_owned()),
        "EKSCOPE_CACHE_DIR" => Some("/c".to_owned()),
        _ => None,
    };
    let dirs = Dirs { config: "/a".into(), state: "/b".into(), cache: "/c".into() };
    assert_eq!(Dirs::find(env), Ok(dirs));
    let own = Dirs::find(|_| None).unwrap();
    assert!([&own.config, &own.state, &own.cache].iter().all(|path| path.ends_with("ekscope")), "{own:?}");
}

#[test]
fn the_real_file_system_is_read_and_never_written() {
    let folder = Folder::new("config");
    let dirs =
        Dirs { config: folder.path().to_owned(), state: folder.path().join("s"), cache: folder.path().join("c") };
    let wishes = Wishes {
        dirs: &dirs,
        files: &Disk,
        env: &|_| None,
        overrides: &Overrides::default(),
        commands: COMMANDS,
        kinds: &[],
    };
    assert_eq!(load(&wishes).problems, []);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    fs::create_dir(folder.path().join("themes")).unwrap();
    fs::write(folder.path().join("themes/mine.toml"), "inherits = \"paper\"").unwrap();
    fs::write(folder.path().join("config.toml"), b"[ui]\ntheme = \"mine\"\n").unwrap();
    let settings = load(&wishes);
    assert_eq!((settings.problems, settings.config.ui.theme.as_str()), (vec![], "mine"));

    fs::write(folder.path().join("config.toml"), b"\xff").unwrap();
    let problems = load(&wishes).problems;
    assert_eq!(problems[0].why, "stream did not contain valid UTF-8");
}

proptest! {
    #[test]
    fn any_text_is_a_configuration_with_problems_at_worst(text in ".*", key in 0usize..30) {
        load_file(&text);
        // The text as the value of a real key.
        let lines: Vec<String> = uncommented().lines().map(str::to_owned).collect();
        let settings: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].contains(" = ") && !lines[*at].starts_with('#')).collect();
        let at = settings[key % settings.len()];
        let mut broken = lines.clone();
        broken[at] = format!("{} {text}", lines[at].split_inclusive('=').next().unwrap());
        load_file(&broken.join("\n"));
        broken[at] = text;
        load_file(&broken.join("\n"));
    }
}
