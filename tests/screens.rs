//! Pictures of the real program: what stands on its screen becomes an SVG in `assets/`.
//! `cargo test --test screens -- --ignored` writes them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail, and says what it sees")]

#[path = "demo/mod.rs"]
mod demo;
#[path = "pty/mod.rs"]
mod pty;
#[path = "screens/svg.rs"]
mod svg;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use demo::{Demo, Place};
use ekscope::sim::{self, AwsOperation, Faults, Forbid};
use pty::Session;
use vt100::Parser;

const THEMES: [&str; 2] = ["slate", "daylight"];
const SIZES: [(u16, u16); 2] = [(80, 24), (200, 50)];

/// One screen: how to get there, and what stands on it when it is there.
struct Picture {
    name: &'static str,
    cluster: Cluster,
    arguments: &'static [&'static str],
    /// What is waited for, then what is typed; what comes last is only waited for.
    steps: &'static [(&'static str, &'static str)],
}

/// Where the program connects to.
enum Cluster {
    Demo,
    /// The same with its account of AWS, one region of which denies everything.
    Account,
    /// The user may see nothing but what is in their own namespaces, and there are none.
    Forbidden,
    /// Nobody listens.
    Refused,
}

const PICTURES: &[Picture] = &[
    Picture {
        name: "pods",
        cluster: Cluster::Demo,
        arguments: &["pods", "-A"],
        // The youngest first: of every workload something.
        steps: &[("pods(all)[1200]", "A"), ("sort age", "jjjjjj")],
    },
    Picture { name: "nodes", cluster: Cluster::Demo, arguments: &["nodes"], steps: &[("nodes(all)[60]", "jjj")] },
    Picture { name: "help", cluster: Cluster::Demo, arguments: &["pods", "-A"], steps: &[("pods(all)[1200]", "?")] },
    Picture {
        name: "palette",
        cluster: Cluster::Demo,
        arguments: &["pods", "-A"],
        steps: &[("pods(all)[1200]", ":no")],
    },
    Picture {
        name: "clusters",
        cluster: Cluster::Account,
        arguments: &["clusters"],
        steps: &[("clusters(all)[2]", "G"), ("standard", "")],
    },
    Picture {
        name: "cluster",
        cluster: Cluster::Account,
        arguments: &["clusters"],
        steps: &[("clusters(all)[2]", "G"), ("standard", "d"), ("version and support", "")],
    },
    Picture {
        name: "nodegroups",
        cluster: Cluster::Account,
        arguments: &["nodegroups"],
        steps: &[("[9]", "jj+"), ("→", "")],
    },
    Picture {
        name: "scale",
        cluster: Cluster::Account,
        arguments: &["nodegroups"],
        steps: &[("[9]", "jj+"), ("→", "\r"), ("scale node group", "")],
    },
    Picture { name: "forbidden", cluster: Cluster::Forbidden, arguments: &["pods", "-A"], steps: &[("forbidden", "")] },
    Picture { name: "unreachable", cluster: Cluster::Refused, arguments: &["pods", "-A"], steps: &[("refused", "")] },
];

/// A cluster with its folders: whatever has to live as long as the program.
enum World {
    Demo(Demo),
    Place(Place),
}

impl World {
    fn start(cluster: &Cluster) -> Self {
        let still = sim::Options { churn: 0.0, seed: 1, ..sim::Options::default() };
        let forbid = |namespace: Option<&str>| Forbid {
            verb: "*".to_owned(),
            resource: "*".to_owned(),
            namespace: namespace.map(str::to_owned),
        };
        match cluster {
            Cluster::Demo => Self::Demo(Demo::start(still)),
            Cluster::Account => {
                let deny = AwsOperation { region: "eu-west-3".to_owned(), deny: true, ..AwsOperation::default() };
                let demo =
                    Demo::of_account(sim::Options { faults: Faults { aws: vec![deny], ..Faults::default() }, ..still });
                demo.place.configure("[fleet]\nregions = [\"eu-west-1\", \"eu-west-3\"]\n");
                Self::Demo(demo)
            }
            Cluster::Forbidden => Self::Demo(Demo::start(sim::Options {
                faults: Faults { forbid: vec![forbid(None)], ..Faults::default() },
                ..still
            })),
            Cluster::Refused => {
                let place = Place::new();
                // A port that nobody serves nowadays.
                place.write_kubeconfig(1);
                Self::Place(place)
            }
        }
    }

    fn open(&self, picture: &Picture, theme: &str, size: (u16, u16)) -> Session {
        let arguments = [picture.arguments, &["--theme", theme]].concat();
        let mut session = match self {
            Self::Demo(demo) => demo.open(&arguments, size),
            Self::Place(place) => place.open(&arguments, size),
        };
        for (text, keys) in picture.steps {
            session.wait_text(text);
            session.send(keys);
        }
        // Metrics come, and what changed stops to glow; then an idle screen draws nothing, unless it counts seconds.
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until && session.wait_for(Duration::from_secs(3), changes(&session)).is_some() {}
        session
    }
}

/// Whether the screen is another than it is now.
fn changes(session: &Session) -> impl Fn(&vt100::Screen) -> bool {
    let before = session.screen().contents();
    move |screen| screen.contents() != before
}

#[test]
#[ignore = "writes assets/"]
fn write_the_pictures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    std::fs::create_dir_all(&folder).expect("assets/ can be made");
    for picture in PICTURES {
        for theme in THEMES {
            for (columns, rows) in SIZES {
                // Each with a place of its own: the program remembers how a table was sorted.
                let world = World::start(&picture.cluster);
                let session = world.open(picture, theme, (columns, rows));
                let path = folder.join(format!("{}-{theme}-{columns}x{rows}.svg", picture.name));
                std::fs::write(path, svg::render(&session.screen())).expect("assets/ can be written");
            }
        }
    }
}

/// The characters of a picture by row and column; those that are drawn as shapes are `■`.
fn read_back(svg: &str) -> BTreeMap<(usize, usize), String> {
    let number = |text: &str, before: &str| -> usize {
        let rest = text.split_once(before).unwrap_or_else(|| panic!("{before} in {text}")).1;
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
    };
    let mut cells = BTreeMap::new();
    for line in svg.lines() {
        let (texts, x, y) = if line.starts_with("<text") {
            let text = line.split_once('>').expect("a start").1.strip_suffix("</text>").expect("an end");
            let text = text.replace("&lt;", "<").replace("&amp;", "&");
            (text.chars().map(String::from).collect(), number(line, "x=\""), number(line, "y=\""))
        } else if line.starts_with("<path") {
            (vec!["■".to_owned()], number(line, "d=\"M"), number(&line[line.find('M').expect("a start")..], " "))
        } else {
            continue;
        };
        for (index, text) in texts.into_iter().enumerate() {
            let cell = (y / svg::HEIGHT, x / svg::WIDTH + index);
            assert_eq!(cells.insert(cell, text), None, "{cell:?} is drawn twice");
        }
    }
    cells
}

#[test]
fn every_character_of_the_screen_stands_in_its_cell_once() {
    let place = Place::new();
    place.write_kubeconfig(1);
    let session = place.open(&["pods", "-A"], SIZES[0]);
    session.wait_text("refused");
    let screen = session.screen();
    let mut expected = BTreeMap::new();
    for row in 0..SIZES[0].1 {
        for column in 0..SIZES[0].0 {
            let text = screen.cell(row, column).expect("a cell").contents();
            if !text.trim().is_empty() {
                let shape = text.chars().any(|letter| ('─'..='▟').contains(&letter));
                let text = if shape { "■" } else { text };
                expected.insert((usize::from(row), usize::from(column)), text.to_owned());
            }
        }
    }
    assert!(!expected.is_empty());
    assert_eq!(read_back(&svg::render(&screen)), expected);
}

/// The picture of what these bytes write on a line of four cells.
fn drawn(bytes: &str) -> String {
    let size = |count| std::num::NonZeroU16::new(count).unwrap();
    let mut parser = Parser::new(size(1), size(4), 0);
    // Without its cursor.
    parser.process(format!("\x1b[?25l{bytes}").as_bytes());
    svg::render(parser.screen())
}

#[test]
fn styles_and_shapes_are_drawn_as_they_are_meant() {
    for (bytes, expected) in [
        // Half a cell, three quarters of one from the left, the lower right quarter.
        ("▌", r#"<path d="M0 0h4.50v18H0z"/>"#),
        ("▊", r#"<path d="M0 0h6.75v18H0z"/>"#),
        ("x▗", r#"<path d="M14 9h4v9H14z"/>"#),
        ("▂", r#"<path d="M0 14h9v4H0z"/>"#),
        ("░", r#"<path d="M0 0h9v18H0z" opacity="0.25"/>"#),
        ("\x1b[38;2;1;2;3mx", r##"<g fill="#010203">"##),
        ("\x1b[1;3mx", r##"<g fill="#d0d0d0" font-weight="bold" font-style="italic">"##),
        ("\x1b[2mx", r##"<g fill="#d0d0d0" opacity="0.6">"##),
        ("\x1b[38;5;21mx", r##"<g fill="#0000ff">"##),
        ("\x1b[7mx", r##"<rect x="0" y="0" width="9" height="18" fill="#d0d0d0"/>"##),
        ("\x1b[4mx", r#"<rect x="0" y="16" width="9" height="1"/>"#),
        ("a<&b", r#"textLength="36" lengthAdjust="spacingAndGlyphs">a&lt;&amp;b</text>"#),
        ("漢x", r#"<text x="0" y="14" textLength="18" lengthAdjust="spacingAndGlyphs">漢</text>"#),
        ("漢x", r#"<text x="18" y="14""#),
    ] {
        let svg = drawn(bytes);
        assert!(svg.contains(expected), "{bytes:?} has to be drawn with {expected}:\n{svg}");
    }
}
