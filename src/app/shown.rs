//! What the settings say of kinds and their columns, looked up among those that there are. Kinds with a file are known
//! at once; the others, and their columns, when the server has named them.

use super::model::kind_named;
use crate::{
    config::{
        keymap::KeyMap,
        settings::{Config, KindSettings},
    },
    kinds::{ColumnInfo, KindId, KindInfo, column_named},
    problem::Problem,
    store::{lens::Sort, world::World},
    util::{document::Placed, suggest},
};

/// What is set for a kind, by whichever of its names.
pub fn settings<'a>(config: &'a Config, world: &World, kind: KindId) -> Option<&'a KindSettings> {
    config.kinds.iter().find(|(name, _)| kind_named(world, name) == Some(kind)).map(|(_, settings)| settings)
}

/// The columns that are wished for and there, each once.
pub fn columns(settings: &KindSettings, infos: &[ColumnInfo]) -> Vec<usize> {
    let mut columns = Vec::new();
    for index in settings.columns.iter().filter_map(|wish| column_named(infos, &wish.value)) {
        if !columns.contains(&index) {
            columns.push(index);
        }
    }
    columns
}

/// The sorting that is wished for, where its column is there.
pub fn sort(settings: &KindSettings, infos: &[ColumnInfo]) -> Option<Sort> {
    let wish = &settings.sort.as_ref()?.value;
    Some(Sort { column: Some(column_named(infos, &wish.column)?), descending: wish.descending })
}

/// Columns that a kind does not have. `infos` are all that it has; none as yet prove nothing.
pub fn missing_columns(settings: &KindSettings, info: &KindInfo, infos: &[ColumnInfo]) -> Vec<Problem> {
    if infos.is_empty() {
        return Vec::new();
    }
    let columns = settings.columns.iter().map(|wish| (&wish.place, &wish.value));
    let sort = settings.sort.iter().map(|wish| (&wish.place, &wish.value.column));
    let missing = columns.chain(sort).filter(|(_, name)| column_named(infos, name).is_none());
    missing
        .map(|(place, name)| {
            let ids = || infos.iter().map(|column| &*column.id);
            let hint = match suggest::hint(name, ids()) {
                near if near.is_empty() => format!("its columns: {}", ids().collect::<Vec<_>>().join(", ")),
                near => near,
            };
            Problem::new(format!("{place}: {} have no column `{name}`", info.plural)).hint(hint)
        })
        .collect()
}

/// Columns that kinds with a file do not have: what can be told without a server.
pub fn problems(config: &Config) -> Vec<Problem> {
    let world = World::default();
    let kinds = world.kinds().filter_map(|(kind, info)| Some((kind, info, settings(config, &world, kind)?)));
    kinds.flat_map(|(kind, info, settings)| missing_columns(settings, info, world.rows(kind).columns())).collect()
}

/// Names of kinds in settings and key files that are none of these, with their places.
pub fn strangers(config: &Config, keys: &KeyMap, world: &World) -> Vec<Placed<String>> {
    let set = config.kinds.iter().filter(|(name, _)| kind_named(world, name).is_none());
    let set = set.map(|(name, settings)| Placed { place: settings.place.clone(), value: name.clone() });
    // Keys go by the plural alone.
    let bound = keys.strangers().iter().filter(|scope| !world.kinds().any(|(_, info)| info.plural == scope.value));
    set.chain(bound.cloned()).collect()
}

/// What to say of a stranger.
pub fn unknown_kind(name: &Placed<String>, world: &World) -> Problem {
    let plurals = world.kinds().map(|(_, info)| &*info.plural);
    let known = plurals.chain(["global", "table", "text"]);
    Problem::new(format!("{}: there is no kind `{}` here", name.place, name.value))
        .hint(suggest::hint(&name.value, known))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        app::scripted::Script,
        config::{Wishes, dirs::Dirs, settings::Overrides},
        kinds::{HasId, pod::Pod},
        sources::kube::discovery::Served,
        ui::theme::ColorDepth,
        view::View,
    };

    struct Only(&'static str);

    impl crate::config::dirs::Files for Only {
        fn read(&self, path: &Path) -> std::io::Result<String> {
            let here = path.ends_with("config.toml");
            if here { Ok(self.0.to_owned()) } else { Err(std::io::ErrorKind::NotFound.into()) }
        }

        fn list(&self, _folder: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
            Ok(Vec::new())
        }
    }

    fn read(text: &'static str) -> crate::config::Settings {
        let dirs = Dirs { config: "/c".into(), state: "/s".into(), cache: "/x".into() };
        let commands = crate::command::key_table();
        let overrides = Overrides::default();
        let (files, env) = (Only(text), |_: &str| None);
        let wishes = Wishes {
            dirs: &dirs,
            files: &files,
            env: &env,
            overrides: &overrides,
            commands: &commands,
            kinds: &["pods"],
        };
        crate::config::load(&wishes)
    }

    fn script(text: &'static str) -> Script {
        Script::populated(read(text).config, ColorDepth::None)
    }

    /// The ids of the columns of the top table, and its sorting.
    fn look(script: &Script) -> (Vec<&str>, String) {
        let view = script.model.table().unwrap();
        let infos = script.model.world.rows(view.kind).columns();
        let columns = view.columns(&script.model.world).into_iter().map(|column| &*infos[column].id).collect();
        let sort = view.lens.sort();
        let name = sort.column.map_or("", |column| &infos[column].id);
        (columns, format!("{name} {}", if sort.descending { "desc" } else { "asc" }))
    }

    const CHOSEN: &str = "[kinds.po]\ncolumns = [\"AGE\", \"name\", \"nmae\", \"nominated-node\", \"name\", \"namespace\"]\n\
                          sort = \"restarts desc\"\n";

    #[test]
    fn columns_and_sorting_are_as_set() {
        let mut script = script(CHOSEN);
        let chosen = ["age", "name", "nominated node", "namespace"];
        assert_eq!(look(&script), (chosen.to_vec(), "restarts desc".to_owned()));

        script.command("table.wide");
        let (columns, _) = look(&script);
        assert_eq!(columns[..4], chosen, "the others come after them");
        assert_eq!(columns.len(), script.model.world.rows(Pod::ID).columns().len());

        script.show("pods payments");
        let (columns, _) = look(&script);
        assert_eq!(columns, ["age", "name", "nominated node"], "all rows are of one namespace");
    }

    #[test]
    fn a_chosen_column_is_searched() {
        let shown = |text: &'static str| {
            let mut script = script(text);
            script.model.set_filter("xyz-owner");
            let owned = serde_json::json!({
                "metadata": {
                    "name": "p", "namespace": "n", "uid": "n-p",
                    "ownerReferences": [{ "kind": "Thing", "name": "xyz-owner", "controller": true }],
                },
            });
            script.feed(Pod::ID, &[owned]);
            let model = &mut script.model;
            let Some(View::Table(view)) = model.views.last_mut() else { panic!("a table") };
            view.lens.update(&model.world, Pod::ID, 0);
            view.lens.order().len()
        };
        assert_eq!(shown(""), 0, "owners are seen in wide mode only");
        assert_eq!(shown("[kinds.pods]\ncolumns = [\"name\", \"owner\"]"), 1);
    }

    #[test]
    fn what_was_left_goes_before_what_is_set_unless_it_is_not_to_be_remembered() {
        let after = |text: &'static str, sort: &str| {
            let mut script = script(text);
            script.model.remembered().unwrap().sort.insert("pods".to_owned(), sort.to_owned());
            script.show("pods");
            look(&script).1
        };
        assert_eq!(after("[kinds.pods]\nsort = \"age\"", "name desc"), "name desc");
        assert_eq!(after("[kinds.pods]\nsort = \"age\"", ""), " asc", "sorted by namespace and name");
        assert_eq!(after("[start]\nremember = false\n[kinds.pods]\nsort = \"age\"", "name desc"), "age asc");
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let texts = |text| -> Vec<String> { problems(&read(text).config).iter().map(ToString::to_string).collect() };
        assert_eq!(texts(CHOSEN), ["/c/config.toml:2:27: pods have no column `nmae` (did you mean `name`?)"]);
        let wrong = texts("[kinds.contexts]\nsort = \"flavour desc\"\n[kinds.nowhere]\nsort = \"x\"\n");
        let hint = "its columns: current, name, cluster, user, server, namespace";
        assert_eq!(wrong, [format!("/c/config.toml:2:1: contexts have no column `flavour` ({hint})")]);
    }

    #[test]
    fn columns_of_the_server_are_chosen_when_it_names_them() {
        let mut script = script("[kinds.\"things.example.com\"]\ncolumns = [\"b\", \"x\"]\nsort = \"b desc\"\n");
        let info = KindInfo {
            plural: "things".into(),
            kind: "Thing".into(),
            group: "example.com".into(),
            own: false,
            served: true,
            ..script.model.world.kind(Pod::ID).clone()
        };
        script.model.served(Served { kinds: vec![info], silent: Vec::new() });
        assert_eq!(script.model.notes, [], "the server knows it");
        script.show("things");
        assert_eq!(look(&script), (Vec::new(), " asc".to_owned()));
        let column = |id: &'static str| ColumnInfo {
            id: id.into(),
            title: id.to_uppercase(),
            ..script.model.world.rows(Pod::ID).columns()[1].clone()
        };
        let columns = vec![column("name"), column("a"), column("b")];
        let kind = script.model.kind_named("things").unwrap();
        script.model.set_columns(kind, columns);
        assert_eq!(look(&script), (vec!["b"], "b desc".to_owned()));
        let notes: Vec<String> = script.model.notes.iter().map(|note| note.problem.to_string()).collect();
        assert_eq!(notes, ["/c/config.toml:2:17: things have no column `x` (did you mean `a`?)"]);
    }

    #[test]
    fn kinds_that_the_server_does_not_know_either_are_told_once() {
        let settings =
            read("[kinds.pdos]\nsort = \"age\"\n[keys.podz]\n\"x\" = \"table.yaml\"\n[keys.table]\n\"x\" = false\n");
        assert_eq!(settings.problems, [], "a server could have them");
        let mut script = Script::populated(settings.config, ColorDepth::None);
        script.model.keys = settings.keys;
        for _ in 0..2 {
            script.model.discovered = false;
            script.model.served(Served { kinds: Vec::new(), silent: Vec::new() });
        }
        let notes: Vec<String> = script.model.notes.iter().map(|note| note.problem.to_string()).collect();
        assert_eq!(
            notes,
            [
                "/c/config.toml:1:8: there is no kind `pdos` here (did you mean `pods`?)",
                "/c/config.toml:4:1: there is no kind `podz` here (did you mean `pods`?)",
            ]
        );
    }
}
