//! Completion of the command line: kinds, commands, namespaces and contexts, matched fuzzily.

use super::{available, commands};
use crate::{
    app::model::Model,
    kinds::Origin,
    store::{intern::Sym, query::Fuzzy},
};

/// Suggestions that are shown.
const MOST: usize = 12;

/// What a half-typed line could become, best first: whole lines.
pub fn complete(model: &Model, line: &str) -> Vec<String> {
    let start = line.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let (head, word) = line.split_at(start);
    let candidates: Vec<String> = if head.trim().is_empty() {
        words(model)
    } else if let Some(context) = word.strip_prefix('@') {
        let names = contexts(model);
        return best(&names, context).into_iter().map(|name| format!("{head}@{name}")).collect();
    } else {
        arguments(model, head.split_whitespace().next().unwrap_or_default())
    };
    best(&candidates, word).into_iter().map(|found| format!("{head}{found}")).collect()
}

fn best(candidates: &[String], word: &str) -> Vec<String> {
    if word.is_empty() {
        return candidates.iter().take(MOST).cloned().collect();
    }
    let Some(fuzzy) = Fuzzy::new(word) else { return Vec::new() };
    // What begins with the word first, then what holds it closest together; the shortest before others.
    let mut found: Vec<(bool, usize, usize, &String)> = candidates
        .iter()
        .filter_map(|candidate| {
            let ranges = fuzzy.ranges(candidate);
            let spread = ranges.last()?.end - ranges.first()?.start;
            Some((!candidate.starts_with(word), spread, candidate.len(), candidate))
        })
        .collect();
    found.sort_by_key(|&(other, spread, length, _)| (other, spread, length));
    let mut best: Vec<String> = Vec::with_capacity(MOST);
    for (.., candidate) in found {
        if best.len() < MOST && !best.contains(candidate) {
            best.push(candidate.clone());
        }
    }
    best
}

fn words(model: &Model) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for (_, info) in model.world.kinds() {
        words.push(info.plural.to_string());
        words.extend(info.aliases.iter().map(ToString::to_string));
    }
    for command in commands().filter(|command| available(command, model)) {
        words.extend(command.words.first().map(|word| (*word).to_owned()));
    }
    words
}

fn contexts(model: &Model) -> Vec<String> {
    model.contexts.iter().map(|context| context.name.clone()).collect()
}

/// What may follow a word: themes, columns, contexts, or namespaces.
fn arguments(model: &Model, word: &str) -> Vec<String> {
    match commands().find(|command| command.words.contains(&word)).map(|command| command.id) {
        Some("app.theme") => return model.theme_names.clone(),
        Some("view.contexts") => return contexts(model),
        Some("table.sort-column") => {
            return model.table().map_or(Vec::new(), |view| {
                let columns = model.world.rows(view.kind).columns();
                columns.iter().map(|column| column.id.to_string()).collect()
            });
        }
        _ => {}
    }
    if model.kind_named(word).is_some_and(|kind| model.world.kind(kind).origin == Origin::Program) {
        return contexts(model);
    }
    namespaces(model)
}

/// Namespaces that are known: those of the namespaces table, of any row that is loaded, and the recent ones.
pub fn namespaces(model: &Model) -> Vec<String> {
    let mut names = model.favourites().to_vec();
    let mut seen: Vec<Sym> = Vec::new();
    for (id, info) in model.world.kinds() {
        let rows = model.world.rows(id);
        if info.plural == "namespaces" {
            names.extend(rows.natural().iter().map(|&id| rows.name(id).to_owned()));
        } else if info.namespaced {
            // The natural order is by namespace: each is looked at once.
            let mut last = Sym::EMPTY;
            for meta in rows.natural().iter().filter_map(|&id| rows.meta(id)) {
                if meta.namespace != last {
                    last = meta.namespace;
                    if !seen.contains(&last) {
                        seen.push(last);
                    }
                }
            }
        }
    }
    names.extend(seen.into_iter().map(|sym| model.world.symbols.get(sym).to_owned()));
    let mut unique = Vec::with_capacity(names.len());
    names.retain(|name| {
        let new = !name.is_empty() && !unique.contains(name);
        if new {
            unique.push(name.clone());
        }
        new
    });
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_the_word_comes_first_then_what_is_closest() {
        let names =
            ["deployments", "pods", "podtemplates", "poddisruptionbudgets", "po", "prometheusoperators", "cronjobs"];
        let names = names.map(str::to_owned);
        assert_eq!(best(&names, "po")[..4], ["po", "pods", "podtemplates", "poddisruptionbudgets"]);
        assert_eq!(best(&names, "pdb"), ["poddisruptionbudgets"]);
        assert_eq!(best(&names, "ploy"), ["deployments"]);
        assert_eq!(best(&names, "POD")[0], "pods", "whatever the case");
        assert!(best(&names, "zz").is_empty());
        assert_eq!(best(&names, "").len(), names.len());
    }
}
