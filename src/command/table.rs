//! What can be done in a table: move, mark, filter, sort, drill down, copy, look behind a row.

use super::{Command, Scope, scale};
use crate::{
    app::{
        effect::{Effect, Ticket},
        model::{Model, kind_key},
        prompt::{Prompt, PromptKind},
    },
    kinds::{HasId, Origin, cluster::Cluster, column_named},
    problem::Problem,
    sources::kube::fetch::Request,
    store::lens::{self, Scope as Namespaces, Sort},
    view::{View, table::TableView},
};

type Done = Result<Vec<Effect>, Problem>;

const TABLE: Command = Command { scope: Scope::Table, ..Command::BASE };

/// The commands of every table.
pub const COMMANDS: &[Command] = &[
    Command { id: "table.down", keys: &["j", "down"], help: "Next row", run: |m, _| step(m, 1), ..TABLE },
    Command { id: "table.up", keys: &["k", "up"], help: "Row before", run: |m, _| step(m, -1), ..TABLE },
    Command { id: "table.page-down", keys: &["pgdn", "ctrl-f"], help: "Next page", run: |m, _| page(m, 1), ..TABLE },
    Command { id: "table.page-up", keys: &["pgup", "ctrl-b"], help: "Page before", run: |m, _| page(m, -1), ..TABLE },
    Command { id: "table.top", keys: &["g", "home"], help: "First row", run: |m, _| step(m, isize::MIN), ..TABLE },
    Command { id: "table.bottom", keys: &["G", "end"], help: "Last row", run: |m, _| step(m, isize::MAX), ..TABLE },
    Command { id: "table.left", keys: &["left"], help: "Scroll columns back in", run: |m, _| scroll(m, -1), ..TABLE },
    Command {
        id: "table.right",
        keys: &["right"],
        help: "Scroll columns out on the left",
        run: |m, _| scroll(m, 1),
        ..TABLE
    },
    Command {
        id: "table.enter",
        keys: &["enter"],
        help: "Go into the row",
        hint: "into",
        when: has_row,
        run: |m, _| enter(m),
        ..TABLE
    },
    Command {
        id: "table.yaml",
        keys: &["y"],
        words: &["yaml"],
        help: "YAML of the row's object, fetched now",
        hint: "yaml",
        when: has_object,
        run: |m, _| yaml(m),
        ..TABLE
    },
    Command {
        id: "table.filter",
        keys: &["/"],
        help: "Filter: words, !not, regex, -f fuzzy, -l selector, k=v, column:text, column>n",
        hint: "filter",
        run: |m, _| {
            let before = m.table().map_or(String::new(), |view| view.filter.clone());
            m.prompt = Some(Prompt::new(PromptKind::Filter, &before));
            Ok(Vec::new())
        },
        ..TABLE
    },
    Command {
        id: "table.faults",
        keys: &["ctrl-z"],
        words: &["faults"],
        help: "Only rows that are not well",
        hint: "faults",
        run: |m, _| {
            with(m, |view| view.lens.set_faults(!view.lens.faults()));
            Ok(Vec::new())
        },
        ..TABLE
    },
    Command {
        id: "table.wide",
        keys: &["ctrl-w"],
        words: &["wide"],
        help: "More columns",
        hint: "wide",
        run: |m, _| {
            with(m, |view| view.lens.set_wide(!view.lens.wide()));
            Ok(Vec::new())
        },
        ..TABLE
    },
    Command {
        id: "table.mark",
        keys: &["space"],
        help: "Mark or unmark the row, and go on",
        run: |m, _| {
            with(m, TableView::mark);
            step(m, 1)
        },
        ..TABLE
    },
    Command {
        id: "table.mark-range",
        keys: &["ctrl-space"],
        help: "Mark from the last mark to here",
        run: |m, _| {
            if let Some(View::Table(view)) = m.views.last_mut() {
                view.mark_range(&m.world);
            }
            Ok(Vec::new())
        },
        ..TABLE
    },
    Command {
        id: "table.unmark",
        keys: &["ctrl-\\"],
        help: "Clear all marks",
        run: |m, _| {
            with(m, |view| view.marks.clear());
            Ok(Vec::new())
        },
        ..TABLE
    },
    Command {
        id: "table.sort-namespace",
        keys: &["P"],
        help: "Sort by namespace and name",
        run: |m, _| sort(m, ""),
        ..TABLE
    },
    Command { id: "table.sort-name", keys: &["N"], help: "Sort by name", run: |m, _| sort(m, "name"), ..TABLE },
    Command { id: "table.sort-age", keys: &["A"], help: "Sort by age", run: |m, _| sort(m, "age"), ..TABLE },
    Command { id: "table.sort-status", keys: &["S"], help: "Sort by status", run: |m, _| sort(m, "status"), ..TABLE },
    Command {
        id: "table.column-left",
        keys: &["shift-left"],
        help: "Select the column to the left",
        run: |m, _| select_column(m, -1),
        ..TABLE
    },
    Command {
        id: "table.column-right",
        keys: &["shift-right"],
        help: "Select the column to the right",
        run: |m, _| select_column(m, 1),
        ..TABLE
    },
    Command {
        id: "table.sort-column",
        keys: &["O"],
        words: &["sort"],
        help: "Sort by the selected column, or by the one named; again turns it round",
        run: |m, argument| {
            if !argument.is_empty() {
                return sort(m, argument);
            }
            let column = m.table().and_then(|view| {
                let columns = m.world.rows(view.kind).columns();
                view.selected_column.and_then(|column| columns.get(column)).map(|column| column.id.to_string())
            });
            match column {
                Some(column) => sort(m, &column),
                None => Err(Problem::new("no column is selected").hint("Shift with the arrows selects one")),
            }
        },
        ..TABLE
    },
    Command {
        id: "table.copy-name",
        keys: &["c"],
        words: &["copy"],
        help: "Copy the name, or all marked names",
        hint: "copy",
        when: has_row,
        run: |m, _| copy(m, "name"),
        ..TABLE
    },
    Command {
        id: "table.copy-namespace",
        keys: &["n"],
        help: "Copy the namespace",
        when: |m| has_row(m) && m.table().is_some_and(|view| m.world.kind(view.kind).namespaced),
        run: |m, _| copy(m, "namespace"),
        ..TABLE
    },
    Command {
        id: "table.copy-cell",
        keys: &["C"],
        help: "Copy the cell of the selected column",
        when: has_row,
        run: |m, _| {
            let column = m.table().and_then(|view| {
                let columns = m.world.rows(view.kind).columns();
                view.selected_column.and_then(|column| columns.get(column)).map(|column| column.id.to_string())
            });
            match column {
                Some(column) => copy(m, &column),
                None => Err(Problem::new("no column is selected").hint("Shift with the arrows selects one")),
            }
        },
        ..TABLE
    },
    Command {
        id: "table.warp",
        keys: &["w"],
        help: "The same kind in the row's namespace",
        when: |m| has_row(m) && m.table().is_some_and(|view| m.world.kind(view.kind).namespaced),
        run: |m, _| {
            let Some(namespace) = m.table().and_then(|view| {
                let id = view.current(&m.world)?;
                let meta = m.world.rows(view.kind).meta(id)?;
                Some(m.world.symbols.get(meta.namespace).to_owned())
            }) else {
                return Ok(Vec::new());
            };
            super::navigate::set_scope(m, Namespaces::Only(vec![namespace]))
        },
        ..TABLE
    },
    Command {
        id: "table.owner",
        keys: &["J"],
        words: &["owner"],
        help: "What made the row's object",
        when: has_object,
        run: |m, _| owner(m),
        ..TABLE
    },
    Command {
        id: "pods.node",
        scope: Scope::Kind("pods"),
        keys: &["o"],
        words: &["shownode"],
        help: "The node that the pod runs on",
        hint: "node",
        when: has_row,
        run: |m, _| hop(m, "node", "nodes"),
        ..TABLE
    },
    Command {
        id: "pods.group",
        scope: Scope::Kind("pods"),
        keys: &["b"],
        help: "The nodes of the pod's node group",
        hint: "group",
        when: has_row,
        run: |m, _| group(m),
        ..TABLE
    },
    Command {
        id: "nodes.group",
        scope: Scope::Kind("nodes"),
        keys: &["b"],
        help: "The nodes of the node's group",
        hint: "group",
        when: has_row,
        run: |m, _| group(m),
        ..TABLE
    },
    Command {
        id: "pods.nodegroup",
        scope: Scope::Kind("pods"),
        keys: &["B"],
        help: "The node group of the pod's node",
        when: has_row,
        run: |m, _| hop(m, "group", "nodegroups"),
        ..TABLE
    },
    Command {
        id: "nodes.nodegroup",
        scope: Scope::Kind("nodes"),
        keys: &["B"],
        help: "The node group",
        when: has_row,
        run: |m, _| hop(m, "group", "nodegroups"),
        ..TABLE
    },
    Command {
        id: "namespaces.use",
        scope: Scope::Kind("namespaces"),
        keys: &["u"],
        help: "Use this namespace from now on",
        hint: "use",
        when: has_row,
        run: |m, _| {
            if let Some(name) = current_name(m) {
                m.scope = Namespaces::Only(vec![name.clone()]);
                m.info(format!("using namespace {name}"));
            }
            Ok(Vec::new())
        },
        ..TABLE
    },
    Command {
        id: "pods.sort-ready",
        scope: Scope::Kind("pods"),
        keys: &["R"],
        help: "Sort by ready",
        run: |m, _| sort(m, "ready"),
        ..TABLE
    },
    Command {
        id: "pods.sort-restarts",
        scope: Scope::Kind("pods"),
        keys: &["T"],
        help: "Sort by restarts",
        run: |m, _| sort(m, "restarts"),
        ..TABLE
    },
    Command {
        id: "pods.sort-ip",
        scope: Scope::Kind("pods"),
        keys: &["I"],
        help: "Sort by address",
        run: |m, _| sort(m, "ip"),
        ..TABLE
    },
    Command {
        id: "pods.sort-memory",
        scope: Scope::Kind("pods"),
        keys: &["M"],
        help: "Sort by memory in use",
        run: |m, _| sort(m, "mem"),
        ..TABLE
    },
    Command {
        id: "pods.sort-cpu",
        scope: Scope::Kind("pods"),
        keys: &["X"],
        help: "Sort by CPU in use",
        run: |m, _| sort(m, "cpu"),
        ..TABLE
    },
    Command {
        id: "nodes.sort-cpu",
        scope: Scope::Kind("nodes"),
        keys: &["X"],
        help: "Sort by CPU asked for",
        run: |m, _| sort(m, "%cpu-req"),
        ..TABLE
    },
    Command {
        id: "nodes.sort-memory",
        scope: Scope::Kind("nodes"),
        keys: &["M"],
        help: "Sort by memory asked for",
        run: |m, _| sort(m, "%mem-req"),
        ..TABLE
    },
    Command {
        id: "nodes.sort-roles",
        scope: Scope::Kind("nodes"),
        keys: &["R"],
        help: "Sort by role",
        run: |m, _| sort(m, "roles"),
        ..TABLE
    },
];

fn with(model: &mut Model, change: impl FnOnce(&mut TableView)) {
    if let Some(view) = model.table_mut() {
        change(view);
        model.dirty = true;
    }
}

fn has_row(model: &Model) -> bool {
    model.table().is_some_and(|view| view.current(&model.world).is_some())
}

fn has_object(model: &Model) -> bool {
    has_row(model) && model.table().is_some_and(|view| model.world.kind(view.kind).origin == Origin::Server)
}

fn step(model: &mut Model, rows: isize) -> Done {
    if let Some(View::Table(view)) = model.views.last_mut() {
        view.step(&model.world, rows);
    }
    Ok(Vec::new())
}

fn page(model: &mut Model, pages: isize) -> Done {
    let rows = model.table().map_or(0, TableView::page);
    step(model, rows * pages)
}

fn scroll(model: &mut Model, columns: isize) -> Done {
    let most = model.table().map_or(0, |view| view.columns(&model.world).len().saturating_sub(3));
    with(model, |view| view.skip = view.skip.saturating_add_signed(columns).min(most));
    Ok(Vec::new())
}

/// Sorts by a column; the one that is sorted by already turns round. Empty is namespace and name.
pub fn sort(model: &mut Model, column: &str) -> Done {
    let Some(View::Table(view)) = model.views.last_mut() else { return Ok(Vec::new()) };
    let columns = model.world.rows(view.kind).columns();
    let found = if column.is_empty() {
        None
    } else {
        match column_named(columns, column) {
            Some(index) => Some(index),
            None => {
                let names: Vec<&str> = columns.iter().map(|column| &*column.id).collect();
                return Err(Problem::new(format!("there is no column {column:?} here"))
                    .hint(format!("columns: {}", names.join(", "))));
            }
        }
    };
    let now = view.lens.sort();
    let numeric = found.is_some_and(|index| columns[index].align == crate::store::value::Align::Right);
    // What is big is what one looks for first, but young things are.
    let first_descending = numeric && found.is_none_or(|index| columns[index].id != "age");
    let descending = if now.column == found { !now.descending } else { first_descending };
    view.lens.set_sort(Sort { column: found, descending });
    let name = found
        .map_or(String::new(), |index| format!("{} {}", columns[index].id, if descending { "desc" } else { "asc" }));
    let key = kind_key(model.world.kind(view.kind));
    if let Some(state) = model.remembered() {
        state.sort.insert(key, name);
    }
    model.dirty = true;
    Ok(vec![Effect::Save])
}

fn select_column(model: &mut Model, by: isize) -> Done {
    let Some(View::Table(view)) = model.views.last_mut() else { return Ok(Vec::new()) };
    let columns = view.columns(&model.world);
    let at = view
        .selected_column
        .and_then(|column| columns.iter().position(|&other| other == column))
        .map_or(if by > 0 { 0 } else { columns.len().saturating_sub(1) }, |at| {
            (at + columns.len()).saturating_add_signed(by) % columns.len().max(1)
        });
    view.selected_column = columns.get(at).copied();
    model.dirty = true;
    Ok(Vec::new())
}

/// Name of the object under the cursor.
pub fn current_name(model: &Model) -> Option<String> {
    let view = model.table()?;
    let id = view.current(&model.world)?;
    Some(model.world.rows(view.kind).name(id).to_owned())
}

fn cell(model: &Model, id: u32, column: &str) -> Option<String> {
    let view = model.table()?;
    let rows = model.world.rows(view.kind);
    let index = rows.columns().iter().position(|info| info.id == column)?;
    Some(rows.value(id, index, &model.world).render(model.now.div_euclid(1000)).into_owned())
}

fn copy(model: &mut Model, column: &str) -> Done {
    let Some(view) = model.table() else { return Ok(Vec::new()) };
    let ids = if column == "name" || column == "namespace" {
        view.targets(&model.world)
    } else {
        view.current(&model.world).into_iter().collect()
    };
    let texts: Vec<String> = ids.iter().filter_map(|&id| cell(model, id, column)).collect();
    if texts.is_empty() {
        return Err(Problem::new("there is nothing to copy"));
    }
    let what = if texts.len() == 1 { texts[0].clone() } else { format!("{} lines", texts.len()) };
    model.info(format!("copied {what}"));
    Ok(vec![Effect::Copy(texts.join("\n"))])
}

fn enter(model: &mut Model) -> Done {
    let Some(view) = model.table() else { return Ok(Vec::new()) };
    let Some(id) = view.current(&model.world) else { return Ok(Vec::new()) };
    if scale::is_pending(model) {
        return scale::open(model, None);
    }
    let rows = model.world.rows(view.kind);
    let name = rows.name(id).to_owned();
    if model.world.kind(view.kind).plural == "contexts" {
        return Ok(vec![Effect::Connect(Some(name))]);
    }
    if view.kind == Cluster::ID {
        return super::clusters::enter(model);
    }
    let Some(drill) = rows.drill(id, &model.world) else { return yaml(model) };
    let Some(kind) = model.kind_named(&drill.plural) else {
        return Err(Problem::new(format!("{} are not known here", drill.plural)));
    };
    let scope = drill.namespace.map_or(Namespaces::All, |namespace| Namespaces::Only(vec![namespace]));
    model.push_table(kind, scope, drill.pin, name);
    Ok(Vec::new())
}

/// Path and title of the object under the cursor.
fn object_path(model: &Model) -> Option<(String, String)> {
    let view = model.table()?;
    let id = view.current(&model.world)?;
    let rows = model.world.rows(view.kind);
    let meta = rows.meta(id)?;
    let info = model.world.kind(view.kind);
    let namespace = model.world.symbols.get(meta.namespace);
    // A part of another object has none of its own.
    let (name, plural) = match rows.parent(id) {
        Some(_) => (model.world.symbols.get(meta.owner_name), "pods"),
        None => (rows.name(id), &*info.plural),
    };
    let place = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
    let path = format!("{}/{name}", info.source_path((!namespace.is_empty()).then_some(namespace)));
    Some((path, format!("{plural}({place})")))
}

fn yaml(model: &mut Model) -> Done {
    let Some((path, title)) = object_path(model) else { return Ok(Vec::new()) };
    let ticket = model.ticket(Ticket::Yaml { title, place: model.views.place() });
    Ok(vec![Effect::Fetch { ticket, request: Request::Object { path } }])
}

fn owner(model: &mut Model) -> Done {
    let found = model.table().and_then(|view| {
        let id = view.current(&model.world)?;
        let meta = model.world.rows(view.kind).meta(id)?;
        let symbols = &model.world.symbols;
        let owner = (symbols.get(meta.owner_kind).to_owned(), symbols.get(meta.owner_name).to_owned());
        Some((owner, symbols.get(meta.namespace).to_owned()))
    });
    let Some(((kind, name), namespace)) = found else { return Ok(Vec::new()) };
    if name.is_empty() {
        return Err(Problem::new("nothing owns this object"));
    }
    let Some(id) = model.kind_named(&kind) else {
        return Err(Problem::new(format!("its owner is {kind} {name}, a kind that is not known here")));
    };
    let scope = if namespace.is_empty() { Namespaces::All } else { Namespaces::Only(vec![namespace]) };
    model.push_table(id, scope, Some(lens::Pin::Name(name.clone())), name);
    Ok(Vec::new())
}

/// Goes to the object that a column names.
fn hop(model: &mut Model, column: &str, plural: &str) -> Done {
    let name = model.table().and_then(|view| view.current(&model.world)).and_then(|id| cell(model, id, column));
    let (Some(name), Some(kind)) = (name, model.kind_named(plural)) else { return Ok(Vec::new()) };
    if name == "<none>" || name == "–" {
        return Err(Problem::new(format!("it has no {column} yet")));
    }
    model.push_table(kind, Namespaces::All, Some(lens::Pin::Name(name.clone())), name);
    Ok(Vec::new())
}

fn group(model: &mut Model) -> Done {
    let name = model.table().and_then(|view| view.current(&model.world)).and_then(|id| cell(model, id, "group"));
    let (Some(name), Some(kind)) = (name, model.kind_named("nodes")) else { return Ok(Vec::new()) };
    if name == "<none>" || name == "–" {
        return Err(Problem::new("its node belongs to no group")
            .hint("a group is known by its label, such as eks.amazonaws.com/nodegroup"));
    }
    model.push_table(kind, Namespaces::All, Some(lens::Pin::Column { id: "group", text: name.clone() }), name);
    Ok(Vec::new())
}
