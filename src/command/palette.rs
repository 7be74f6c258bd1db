//! Completion of the command line: kinds, commands, namespaces and contexts, matched fuzzily.

use frizbee::{Config, Matcher};

use super::{available, commands};
use crate::{app::model::Model, store::intern::Sym};

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
    // What begins with the word first, the shortest before others; then what resembles it.
    let mut starts: Vec<&String> = candidates.iter().filter(|candidate| candidate.starts_with(word)).collect();
    starts.sort_by_key(|candidate| candidate.len());
    let mut found: Vec<String> = starts.into_iter().take(MOST).cloned().collect();
    for hit in Matcher::new(word, &Config::default()).match_list(candidates) {
        if found.len() >= MOST {
            break;
        }
        if let Some(candidate) = candidates.get(hit.index as usize)
            && !found.contains(candidate)
        {
            found.push(candidate.clone());
        }
    }
    found
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
    if model.kind_named(word).is_some_and(|kind| model.world.kind(kind).local) {
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
        if info.plural == "namespaces" && !info.local {
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
