//! The command line, with k9s's grammar: `pods kube-system /filter k=v @context`, or a command and its argument.

use std::fmt;

use super::commands;
use crate::{
    app::{
        effect::Effect,
        model::{Model, kind_key},
        notes::Level,
    },
    kinds::KindId,
    problem::Problem,
    store::lens::Scope,
};

type Done = Result<Vec<Effect>, Problem>;

/// A line that goes to a kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    pub word: String,
    pub namespace: Option<String>,
    pub filter: Option<String>,
    pub context: Option<String>,
}

impl Line {
    /// Takes a line apart; upper and lower case stay as typed.
    pub fn parse(text: &str) -> Self {
        let mut line = Line::default();
        let text = text.trim().trim_start_matches(':');
        // Everything after ` /` is the filter, spaces included, up to a context.
        let (head, filter) = match text.find(" /") {
            Some(at) => (&text[..at], Some(&text[at + 2..])),
            None => (text, None),
        };
        let mut labels = Vec::new();
        for (index, word) in head.split_whitespace().enumerate() {
            if index == 0 {
                word.clone_into(&mut line.word);
            } else if let Some(context) = word.strip_prefix('@') {
                line.context = Some(context.to_owned());
            } else if word.contains('=') {
                labels.push(word.to_owned());
            } else {
                line.namespace = Some(word.to_owned());
            }
        }
        if let Some(filter) = filter {
            let (filter, context) = match filter.rsplit_once(" @") {
                Some((filter, context)) if !context.contains(' ') => (filter, Some(context)),
                _ => (filter, None),
            };
            if let Some(context) = context {
                line.context = Some(context.to_owned());
            }
            labels.push(filter.trim().to_owned());
        }
        if !labels.is_empty() {
            line.filter = Some(labels.join(" "));
        }
        line
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word)?;
        if let Some(namespace) = &self.namespace {
            write!(f, " {namespace}")?;
        }
        if let Some(filter) = self.filter.as_ref().filter(|filter| !filter.is_empty()) {
            write!(f, " /{filter}")?;
        }
        Ok(())
    }
}

/// Whether the first word of a line means a kind or a command.
pub fn is_known(model: &Model, text: &str) -> bool {
    let word = text.split_whitespace().next().unwrap_or_default();
    model.kind_named(word).is_some() || commands().any(|command| command.words.contains(&word))
}

/// Whether a line shows what is of no single cluster.
pub fn needs_no_cluster(model: &Model, text: &str) -> bool {
    let kind = model.kind_named(&Line::parse(text).word);
    kind.is_some_and(|kind| !model.world.kind(kind).origin.is_of_cluster())
}

/// Runs a line that was typed, and remembers it.
pub fn run(model: &mut Model, text: &str) -> Done {
    let text = text.trim().trim_start_matches(':').trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let done = run_again(model, text)?;
    model.history.visit(text);
    Ok(done)
}

/// Runs a line without a trace in the history of views.
pub fn run_again(model: &mut Model, text: &str) -> Done {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    if model.kind_named(word).is_none()
        && let Some(command) = commands().find(|command| command.words.contains(&word))
    {
        if !super::available(command, model) {
            return Err(super::unavailable(command, &format!(":{word}"), model)
                .unwrap_or_else(|| Problem::new(format!(":{word} does nothing here")).hint(command.help)));
        }
        return (command.run)(model, rest.trim());
    }
    // `ns NAME` uses a namespace, `ctx NAME` a context.
    let line = Line::parse(text);
    if line.namespace.is_some() {
        if model.kind_named(word) == model.kind_named("namespaces") {
            return super::navigate::set_scope(model, Scope::parse(rest));
        }
        if model.kind_named(word) == model.kind_named("contexts")
            && let Some(command) = super::find("view.contexts")
        {
            return (command.run)(model, rest.trim());
        }
    }
    if let Some(context) = &line.context
        && model.facts.as_ref().is_none_or(|facts| facts.context != *context)
    {
        if !model.contexts.iter().any(|known| known.name == *context) {
            return Err(Problem::new(format!("there is no context {context:?}")).hint(":ctx lists them"));
        }
        model.pending_line = Some(without_context(text));
        return Ok(vec![Effect::Connect(Some(context.clone()))]);
    }
    open_line(model, &line)
}

fn without_context(text: &str) -> String {
    text.split_whitespace().filter(|word| !word.starts_with('@')).collect::<Vec<_>>().join(" ")
}

/// Shows a kind from the bottom of the stack on.
pub fn open(model: &mut Model, word: &str, filter: &str) -> Done {
    let line = Line { word: word.to_owned(), filter: Some(filter.to_owned()), ..Line::default() };
    open_line(model, &line)
}

fn open_line(model: &mut Model, line: &Line) -> Done {
    let Some(kind) = model.kind_named(&line.word) else {
        if !model.discovered && model.facts.is_some() {
            // Only the server knows; it is being asked.
            model.pending_kind = Some((model.views.place(), line.to_string()));
            model.info(format!("asking the server for {:?} …", line.word));
            return Ok(Vec::new());
        }
        return Err(unknown(model, &line.word));
    };
    if let Some(namespace) = &line.namespace {
        super::navigate::use_scope(model, Scope::parse(namespace));
    }
    show(model, kind);
    if let Some(filter) = &line.filter {
        model.set_filter(filter);
    }
    Ok(vec![Effect::Save])
}

/// Puts a kind alone on the stack, in the namespaces that are in use.
pub fn show(model: &mut Model, kind: KindId) {
    let crumb = model.world.kind(kind).plural.to_string();
    let key = kind_key(model.world.kind(kind));
    let local = !model.world.kind(kind).origin.is_of_cluster();
    if !local && let Some(state) = model.remembered() {
        state.view = Some(key);
    }
    // Contexts and the fleet are a detour, not a place.
    if !local {
        model.views.clear();
    }
    let scope = model.scope.clone();
    model.push_table(kind, scope, None, crumb);
}

/// The first view of a context: the one that was left there, or the configured one. The namespaces in use stay as they
/// are where `keep_scope`.
pub fn show_first(model: &mut Model, keep_scope: bool) -> Vec<Effect> {
    let remembered = model
        .facts
        .as_ref()
        .filter(|_| model.config.start.remember)
        .and_then(|facts| model.state.context(&facts.context))
        .and_then(|state| state.view.clone());
    let mut line = remembered.unwrap_or_else(|| model.config.start.view.clone());
    if keep_scope {
        line = Line { namespace: None, ..Line::parse(&line) }.to_string();
    }
    let done = run(model, &line);
    let effects = done.unwrap_or_else(|problem| {
        model.note(Level::Warning, problem);
        Vec::new()
    });
    // Neither there nor to come: the line meant no view.
    if model.views.is_empty()
        && model.pending_kind.is_none()
        && !effects.iter().any(|it| matches!(it, Effect::Connect(_)))
    {
        show_pods(model);
    }
    effects
}

/// The view that every cluster has.
pub fn show_pods(model: &mut Model) {
    if let Some(kind) = model.kind_named("pods") {
        show(model, kind);
    }
}

/// The contexts, where none could be connected to.
pub fn show_contexts(model: &mut Model) {
    crate::app::local::contexts(model);
    if let Some(kind) = model.kind_named("contexts") {
        show(model, kind);
    }
}

fn unknown(model: &Model, word: &str) -> Problem {
    let known: Vec<String> = model
        .world
        .kinds()
        .map(|(_, info)| info.plural.to_string())
        .chain(commands().flat_map(|command| command.words.iter().map(|word| (*word).to_owned())))
        .collect();
    let near = crate::util::suggest::nearest(word, known.iter().map(String::as_str));
    let hint = match near {
        Some(near) => format!("did you mean :{near}?"),
        None if model.discovered => "Ctrl-A lists every kind that the server has".to_owned(),
        None => "the server's kinds are still being asked for".to_owned(),
    };
    Problem::new(format!("there is no kind or command {word:?}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_apart_as_in_k9s() {
        let parse = Line::parse;
        assert_eq!(parse("pods").word, "pods");
        assert_eq!(
            parse(":pods kube-system /Foo.* bar k=V @arn:aws:eks:eu-west-1:1:cluster/Prod"),
            Line {
                word: "pods".into(),
                namespace: Some("kube-system".into()),
                filter: Some("Foo.* bar k=V".into()),
                context: Some("arn:aws:eks:eu-west-1:1:cluster/Prod".into()),
            }
        );
        assert_eq!(parse("po app=Web,tier!=x").filter.as_deref(), Some("app=Web,tier!=x"));
        assert_eq!(parse("po a,b @x").namespace.as_deref(), Some("a,b"));
        assert_eq!(parse("  ").word, "");
    }
}
